"""
Audit records in responses.

Tenants see who changed their objects, but neither addresses nor users on the operator's side.
"""

from typing import Literal

from daemon.admin import schemas
from daemon.core.model.audit import ActorKind, AuditEntry
from daemon.core.unprintable import escape

KINDS: dict[ActorKind, Literal["operator", "tenant", "commandLine", "unknown"]] = {
    ActorKind.OPERATOR: "operator",
    ActorKind.TENANT: "tenant",
    ActorKind.COMMAND_LINE: "commandLine",
    ActorKind.UNKNOWN: "unknown",
}
REFUSED = frozenset({401, 403, 429})


def audit_record_response(entry: AuditEntry, *, for_tenant: bool) -> schemas.AuditRecord:
    """Show a record; `for_tenant` hides what is the operator's own."""
    record = entry.record
    kind = record.actor.kind
    name = escape(record.actor.name) or None
    peer = None if record.peer is None else escape(record.peer)
    return schemas.AuditRecord(
        id=entry.id,
        at=entry.at,
        action=record.action,
        actor_kind=KINDS[kind],
        actor=None if for_tenant and kind is ActorKind.COMMAND_LINE else name,
        peer=None if for_tenant and kind is not ActorKind.TENANT else peer,
        tenant_id=record.tenant_id,
        object_type=record.object_type,
        object_id=record.object_id,
        outcome=_outcome(record.status),
        status=record.status,
        count=record.count,
        reason=None if for_tenant or record.reason is None else escape(record.reason),
    )


def _outcome(status: int | None) -> Literal["done", "refused", "failed"]:
    if status is None or status < 400:
        return "done"
    return "refused" if status in REFUSED else "failed"
