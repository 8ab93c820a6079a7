"""What the outcome of an attempt means for its delivery and for its endpoint: pure decisions."""
