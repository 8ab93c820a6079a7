"""What the API answers with, built from values."""
