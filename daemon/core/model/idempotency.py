"""Idempotency keys: the claim of the request that acts, and what is stored of an earlier one."""

from dataclasses import dataclass
from uuid import UUID

from daemon.core.model.ids import TenantId


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """
    The claim of one request on its key; `id` tells it from every other request with the key.

    `caller` is a tenant or an operator's token. `tenant_id` is None where the request names none.
    """

    caller: str
    key_hash: bytes
    id: UUID
    tenant_id: TenantId | None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """
    The answer to a request; `text` is None where it must not, or cannot, be kept.

    `text` is sealed if there is a master key.
    """

    status: int
    text: str | None


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """
    The request that has the key: answered, running, or ended without an answer.

    `performed` says that its change was made, to the object `object_id`. `expired` says that the
    key may be used for another request.
    """

    claim_id: UUID
    fingerprint: str
    answer: StoredAnswer | None
    performed: bool
    object_id: UUID | None
    running: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class KeysInUse:
    """How many keys a caller has, and how many bytes their answers take."""

    keys: int
    answer_bytes: int
