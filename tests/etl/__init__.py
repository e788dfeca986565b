"""The tests of the fold, with the contract as a plain model (`model`) to compare with."""
