"""Change records in order, by position."""
