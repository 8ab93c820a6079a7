"""
The associated data (AES-GCM) of each sealed value: it binds the ciphertext to its webhook and use.

A sealed value opens only with the associated data that it was sealed with, so that copying it to
another row, column or header makes it unreadable. Headers and client keys are bound to the origin
of the webhook's URL too: they are credentials of that receiver. The signing secret is not: it is
the webhook's own, whichever URL it has.
"""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from daemon.core.policy.origins import origin_of

WEBHOOKS_KEPT = 8192


@dataclass(frozen=True, slots=True)
class BoundData:
    """
    The associated data of a value that is bound to an origin.

    `without_origin` is that of values which earlier versions sealed. It differs from every
    `with_origin`, which has an origin (or nothing) where the other has the use.
    """

    with_origin: str
    without_origin: str


@lru_cache(WEBHOOKS_KEPT)
def secret_associated_data(webhook_id: UUID) -> str:
    """Return that of the current and the previous secret: a rotation moves one to the other."""
    return f"{webhook_id}/secret"


def header_data(webhook_id: UUID, name: str, *, url: str) -> BoundData:
    """Return that of the custom header `name`, in any case, of a webhook with this URL."""
    return _bound(webhook_id, f"header/{name.lower()}", url)


def client_key_data(webhook_id: UUID, *, url: str) -> BoundData:
    """Return that of the client certificate's private key, of a webhook with this URL."""
    return _bound(webhook_id, "client_key", url)


def idempotency_data(caller: str, key_hash: bytes, *, use: str) -> str:
    """Return that of what is stored with a caller's idempotency key: its `use` and no other."""
    return f"idempotency/{caller}/{key_hash.hex()}/{use}"


def _bound(webhook_id: UUID, use: str, url: str) -> BoundData:
    return BoundData(f"{webhook_id}/{origin_of(url)}/{use}", f"{webhook_id}/{use}")
