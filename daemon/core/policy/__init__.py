"""What customers may configure: URLs and their addresses, headers, email addresses."""
