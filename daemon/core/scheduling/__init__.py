"""Whose turn it is, and how much at a time."""
