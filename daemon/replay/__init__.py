"""Replays: stored events and exhausted deliveries, sent again with the capacity left over."""
