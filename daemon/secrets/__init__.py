"""Secrets at rest, and the credentials that requests carry."""
