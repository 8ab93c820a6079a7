"""The bytes that receivers get: the body, its signatures, and the JSON they come from."""
