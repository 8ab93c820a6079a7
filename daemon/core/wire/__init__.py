"""The bytes that receivers get: JSON read without loss, the request body, its signatures."""
