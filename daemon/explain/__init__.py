"""Answers about events: what became of one, what is undelivered, what a filter would match."""
