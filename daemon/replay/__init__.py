"""Stored events sent once more, beside what is new."""
