"""What customers may ask for: URLs, addresses, headers, e-mail addresses."""
