"""What became of an event at a webhook, and why, told from what is stored."""
