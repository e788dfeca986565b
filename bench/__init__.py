"""The figures of tradelake, measured here and now: `make bench`."""
