"""Mail to administrators about the health of endpoints."""
