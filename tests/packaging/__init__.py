"""The Debian package and the container image."""
