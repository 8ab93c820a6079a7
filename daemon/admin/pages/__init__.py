"""Pages for people who have no token."""
