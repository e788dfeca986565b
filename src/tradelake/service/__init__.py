"""The pipeline run for weeks: it goes on through what passes, and tells how it is."""
