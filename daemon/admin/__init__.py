"""The HTTP side of the daemon: API, console, health and metrics."""
