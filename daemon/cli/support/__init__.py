"""Shared parts of the commands: options, databases, times, the console, signals."""
