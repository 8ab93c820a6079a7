"""Seal a webhook's secrets under the newest master key."""

from dataclasses import replace
from uuid import UUID

import orjson

from daemon.core.model.secrets import StoredSecrets
from daemon.secrets.associated_data import (
    client_key_associated_data,
    header_associated_data,
    secret_associated_data,
)
from daemon.secrets.custom_headers import parse_custom_headers
from daemon.secrets.encryption import Vault


def seal_secrets(stored: StoredSecrets, vault: Vault) -> StoredSecrets:
    """
    Return the same secrets sealed under the vault's newest key; unchanged if it has no key.

    Raises UnreadableSecretError when a value that is sealed already cannot be opened.
    """
    if vault.newest is None:
        return stored
    associated_data = secret_associated_data(stored.webhook_id)
    client_key_data = client_key_associated_data(stored.webhook_id)
    return replace(
        stored,
        current=_reseal(vault, stored.current, associated_data=associated_data) or "",
        previous=_reseal(vault, stored.previous, associated_data=associated_data),
        custom_headers=_seal_headers(stored, vault),
        client_key=_reseal(vault, stored.client_key, associated_data=client_key_data),
        sealed_with=vault.newest,
    )


def seal_secret(secret: str, webhook_id: UUID, vault: Vault) -> str:
    """Return a new signing secret as its row stores it: sealed, or plain if there is no key."""
    if vault.newest is None:
        return secret
    return vault.seal(secret, associated_data=secret_associated_data(webhook_id))


def _reseal(vault: Vault, text: str | None, *, associated_data: str) -> str | None:
    if not text:
        return text
    opened = vault.open(text, associated_data=associated_data)
    return vault.seal(opened, associated_data=associated_data)


def _seal_headers(stored: StoredSecrets, vault: Vault) -> str | None:
    """Seal every value that is text; leave any other for the webhook's owner to correct."""
    headers = parse_custom_headers(stored.custom_headers or "null")
    if headers is None:
        return stored.custom_headers
    for name, value in headers.items():
        if isinstance(value, str):
            associated_data = header_associated_data(stored.webhook_id, name)
            opened = vault.open(value, associated_data=associated_data)
            headers[name] = vault.seal(opened, associated_data=associated_data)
    return orjson.dumps(headers).decode()
