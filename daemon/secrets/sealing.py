"""Seal a webhook's secrets under the newest master key."""

from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from daemon.core.errors import SealMismatchError, UnreadableSecretError
from daemon.core.model.secrets import StoredSecrets
from daemon.secrets.associated_data import (
    BoundData,
    client_key_data,
    header_data,
    secret_associated_data,
)
from daemon.secrets.bound_values import opens_without_origin
from daemon.secrets.custom_headers import parse_custom_headers
from daemon.secrets.encryption import Vault


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """
    Secrets after sealing; values that cannot be opened stayed as they were.

    `failures` says why they cannot. Headers and keys that were set for another origin are none:
    `has_mismatches` says that there are some.
    """

    secrets: StoredSecrets
    failures: tuple[UnreadableSecretError, ...] = ()
    has_mismatches: bool = False


def seal_secrets(
    stored: StoredSecrets, vault: Vault, *, unbound_url: str | None = None
) -> SealedSecrets:
    """
    Seal all secrets under the vault's newest key; without a key they stay as they are.

    `sealed_with` is empty when a value had to stay as it was. A value that an earlier version
    sealed without an origin is bound to that of `unbound_url`, the URL that the webhook had when
    the database was migrated: never to the present one, which a writer of the row may have changed
    since. Without `unbound_url` it does not open.
    """
    if vault.newest is None:
        return SealedSecrets(stored)
    sealer = _Sealer(stored, vault, unbound_url)
    sealed = replace(
        stored,
        current=sealer.secret(stored.current) or "",
        previous=sealer.secret(stored.previous),
        custom_headers=sealer.headers(),
        client_key=sealer.client_key(),
    )
    is_complete = not sealer.failures and not sealer.has_mismatches
    return SealedSecrets(
        replace(sealed, sealed_with=vault.newest if is_complete else ""),
        tuple(sealer.failures),
        sealer.has_mismatches,
    )


def seal_secret(secret: str, webhook_id: UUID, vault: Vault) -> str:
    """Return a new signing secret as its row stores it: sealed, or plain if there is no key."""
    if vault.newest is None:
        return secret
    return vault.seal(secret, associated_data=secret_associated_data(webhook_id))


class _Sealer:
    """Seals the values of one row; collects the failures of those that cannot be opened."""

    def __init__(self, stored: StoredSecrets, vault: Vault, unbound_url: str | None) -> None:
        self.failures: list[UnreadableSecretError] = []
        self.has_mismatches = False
        self._stored = stored
        self._vault = vault
        self._unbound_url = unbound_url

    def secret(self, text: str | None) -> str | None:
        if not text:
            return text
        associated_data = secret_associated_data(self._stored.webhook_id)
        try:
            opened = self._vault.open(text, associated_data=associated_data)
        except UnreadableSecretError as error:
            self.failures.append(error)
            return text
        return self._vault.seal(opened, associated_data=associated_data)

    def headers(self) -> str | None:
        """Seal every value that is text; leave any other for the webhook's owner to correct."""
        stored = self._stored
        headers = parse_custom_headers(stored.custom_headers or "null")
        if headers is None:
            return stored.custom_headers
        for name, value in headers.items():
            if isinstance(value, str):
                data, former = (
                    header_data(stored.webhook_id, name, url=url) for url in self._urls()
                )
                headers[name] = self._bound(value, data, former)
        return orjson.dumps(headers).decode()

    def client_key(self) -> str | None:
        stored = self._stored
        if not stored.client_key:
            return stored.client_key
        data, former = (client_key_data(stored.webhook_id, url=url) for url in self._urls())
        return self._bound(stored.client_key, data, former)

    def _urls(self) -> tuple[str, str]:
        """The present URL, and the one to which values without an origin belong."""
        return self._stored.endpoint_url, self._unbound_url or ""

    def _bound(self, text: str, data: BoundData, former: BoundData) -> str:
        vault = self._vault
        try:
            opened = vault.open(text, associated_data=data.with_origin)
        except SealMismatchError:
            if self._unbound_url is not None and opens_without_origin(vault, text, data):
                opened = vault.open(text, associated_data=data.without_origin)
                return vault.seal(opened, associated_data=former.with_origin)
            self.has_mismatches = True
            return text
        except UnreadableSecretError as error:
            self.failures.append(error)
            return text
        return vault.seal(opened, associated_data=data.with_origin)
