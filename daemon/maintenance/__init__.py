"""What keeps the tables small, sealed, and free of what must be forgotten."""
