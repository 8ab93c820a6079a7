"""Audit records: who did what to which object, or was refused it, from where and when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from daemon.core.model.ids import TenantId


class ActorKind(StrEnum):
    """The kinds of those who act; UNKNOWN is the holder of a token that is not valid."""

    OPERATOR = "operator"
    TENANT = "tenant"
    COMMAND_LINE = "command_line"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Actor:
    """
    Who acts: the name of an operator's token, the id of a tenant's token, or a user of the system.

    It never contains the token itself.
    """

    kind: ActorKind
    name: str


UNKNOWN_ACTOR = Actor(ActorKind.UNKNOWN, "")


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """
    One change or refused request; `count` of refused requests that are alike share a record.

    `status` is that of the HTTP response, and None for a command. `peer` is the client's address,
    or the host on which a command ran. `reason` is what the caller gave, for operators to see.
    """

    action: str
    actor: Actor
    peer: str | None
    tenant_id: TenantId | None
    object_type: str | None = None
    object_id: UUID | None = None
    status: int | None = None
    count: int = 1
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A stored record."""

    id: UUID
    at: datetime
    record: AuditRecord
