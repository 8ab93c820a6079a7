"""When work is due, in which order, and how much at a time: lanes, replay pace, batch size."""
