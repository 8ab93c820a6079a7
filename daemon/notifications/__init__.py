"""Emails to administrators about the health of endpoints."""
