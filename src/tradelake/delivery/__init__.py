"""Firehose's work: change records become landing objects."""
