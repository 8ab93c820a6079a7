"""From a committed event to a recorded delivery."""
