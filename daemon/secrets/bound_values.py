"""
Open sealed headers and client keys, which open only for the origin of their webhook's URL.

A value that an earlier version sealed without an origin is never used: the resealing loop binds it
first, to the origin that its webhook had when the database was migrated.
"""

from daemon.core.errors import SealMismatchError, UnboundSecretError
from daemon.core.model.secrets import StoredSecrets
from daemon.secrets.associated_data import BoundData, client_key_data, header_data
from daemon.secrets.custom_headers import parse_custom_headers
from daemon.secrets.encryption import Vault

# Sentences for the owner, by the member of the API that is to be set again.
SET_AGAIN = {
    "customHeaders": (
        "the custom headers were set for another origin than the URL's: set them again"
    ),
    "clientCertificate": (
        "the client certificate was set for another origin than the URL's: set it again"
    ),
}


def open_bound(vault: Vault, text: str, data: BoundData) -> str:
    """
    Decrypt a sealed text that is bound to an origin; return any other text as it is.

    Raises UnreadableSecretError when the key is unknown, SealMismatchError when the text was sealed
    for another webhook, use or origin, and UnboundSecretError when it waits to be bound.
    """
    try:
        return vault.open(text, associated_data=data.with_origin)
    except SealMismatchError:
        if vault.binding_pending and opens_without_origin(vault, text, data):
            raise UnboundSecretError(
                "a secret that an earlier version sealed is not bound to its URL's origin yet"
            ) from None
        raise


def opens_without_origin(vault: Vault, text: str, data: BoundData) -> bool:
    """Return whether an earlier version sealed the text for this webhook and use."""
    try:
        vault.open(text, associated_data=data.without_origin)
    except SealMismatchError:
        return False
    return True


def open_header(stored: StoredSecrets, vault: Vault, *, name: str, value: object) -> object:
    """Open one of the custom headers, as `open_bound` does; a value of another type stays."""
    if not isinstance(value, str):
        return value
    return open_bound(vault, value, header_data(stored.webhook_id, name, url=stored.endpoint_url))


def open_client_key(stored: StoredSecrets, vault: Vault) -> str:
    """Open the private key, as `open_bound` does; empty if there is none."""
    data = client_key_data(stored.webhook_id, url=stored.endpoint_url)
    return open_bound(vault, stored.client_key or "", data)


def headers_of_another_origin(stored: StoredSecrets, vault: Vault) -> list[str]:
    """
    Return the names of the headers whose values do not open for the URL's origin.

    Raises UnreadableSecretError when a key is unknown or a value waits to be bound.
    """
    headers = parse_custom_headers(stored.custom_headers or "{}") or {}
    return [
        name for name in sorted(headers) if not _header_opens(stored, vault, name, headers[name])
    ]


def members_to_set_again(stored: StoredSecrets, vault: Vault) -> dict[str, str]:
    """
    Return the members whose values do not open for the URL's origin, each with its sentence.

    Raises UnreadableSecretError when a key is unknown or a value waits to be bound.
    """
    members = []
    if headers_of_another_origin(stored, vault):
        members.append("customHeaders")
    if stored.client_certificate is not None and not _client_key_opens(stored, vault):
        members.append("clientCertificate")
    return {member: SET_AGAIN[member] for member in members}


def _header_opens(stored: StoredSecrets, vault: Vault, name: str, value: object) -> bool:
    try:
        open_header(stored, vault, name=name, value=value)
    except SealMismatchError:
        return False
    return True


def _client_key_opens(stored: StoredSecrets, vault: Vault) -> bool:
    try:
        open_client_key(stored, vault)
    except SealMismatchError:
        return False
    return True
