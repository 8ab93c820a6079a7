"""
The associated data (AES-GCM) of each sealed value: it binds the ciphertext to its webhook and use.

A sealed value opens only with the associated data that it was sealed with, so that copying it to
another row, column or header makes it unreadable.
"""

from uuid import UUID


def secret_associated_data(webhook_id: UUID) -> str:
    """Return that of the current and the previous secret: a rotation moves one to the other."""
    return f"{webhook_id}/secret"


def header_associated_data(webhook_id: UUID, name: str) -> str:
    """Return that of the custom header `name`, in any case."""
    return f"{webhook_id}/header/{name.lower()}"


def client_key_associated_data(webhook_id: UUID) -> str:
    """Return that of the client certificate's private key."""
    return f"{webhook_id}/client_key"
