"""
The audit: records are inserted, read and, when old, deleted, but never changed.

A record of a change is inserted in the transaction of the change wherever there is only one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.core.model.audit import Actor, ActorKind, AuditEntry, AuditRecord
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store import listing
from daemon.store.expired_rows import delete_rows
from daemon.store.session import Connection

INSERT_RECORD = """
    INSERT INTO webhook_audit
           (action, actor_kind, actor, peer, tenant_id, object_type, object_id, status, count,
            reason, for_operators)
    SELECT $1, $2::text, $3, $4, $5, $6::text, $7::uuid, $8, $9, $10,
           -- What a tenant asked for itself hides nothing: it would tell that there is something.
           $2::text <> 'tenant' AND CASE $6::text
               WHEN 'webhook' THEN EXISTS (
                    SELECT FROM webhooks WHERE id = $7::uuid AND scope::text = 'operator')
               WHEN 'delivery' THEN EXISTS (
                    SELECT
                      FROM webhook_deliveries AS d
                      JOIN webhooks AS w ON w.id = d.webhook_id AND w.scope::text = 'operator'
                     WHERE d.id = $7::uuid)
               WHEN 'replay' THEN EXISTS (
                    SELECT
                      FROM webhook_replays AS r
                      JOIN webhooks AS w ON w.id = r.webhook_id AND w.scope::text = 'operator'
                     WHERE r.id = $7::uuid)
               ELSE false END
"""


async def insert(db: Connection, record: AuditRecord) -> None:
    """
    Insert a record, with the time at which this transaction began.

    What others than its tenant did with an operator's webhook is not shown to the tenant.
    """
    await db.execute(
        INSERT_RECORD,
        *(record.action, record.actor.kind.value, record.actor.name, record.peer),
        *(record.tenant_id, record.object_type, record.object_id, record.status, record.count),
        record.reason,
    )


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """
    The records that a list shows; None selects all. `since` is inclusive, `until` is not.

    `for_operators` includes those about operators' webhooks, which their tenants do not see.
    """

    tenant_id: TenantId | None = None
    action: str | None = None
    object_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    for_operators: bool = True


# Two queries, because each has its index.
READ_RANGE = """
      FROM webhook_audit
     WHERE {tenant}
       AND at <= $2 AND (at, id) < ($2, $3)
       AND at >= coalesce($4, '-infinity'::timestamptz)
       AND at < coalesce($5, 'infinity'::timestamptz)
     ORDER BY at DESC, id DESC
"""
OF_TENANT = READ_RANGE.format(tenant="tenant_id = $1")
OF_ALL = READ_RANGE.format(tenant="$1::uuid IS NULL")
LIST_RECORDS = """
    SELECT * FROM (SELECT * {range} LIMIT $8) AS read
     WHERE ($6::text IS NULL OR action::text = $6) AND ($7::uuid IS NULL OR object_id = $7)
       AND ($10 OR NOT for_operators)
     ORDER BY at DESC, id DESC
     LIMIT $9
"""
FIND_LAST_READ = "SELECT at, id {range} OFFSET $6 LIMIT 1"


async def list_records(
    db: Connection, selected: AuditFilter, *, before: Cursor, limit: int
) -> tuple[list[AuditEntry], Cursor | None]:
    """
    Return a page of records, newest first, and the cursor of the next page.

    A page reads MAX_ROWS_READ rows at most, so that one with a filter may be short and have a next.
    """
    rows_of = OF_ALL if selected.tenant_id is None else OF_TENANT
    place = (selected.tenant_id, before.at, before.id, selected.since, selected.until)
    rows = await db.fetch(
        LIST_RECORDS.format(range=rows_of),
        *(*place, selected.action, selected.object_id, listing.MAX_ROWS_READ, limit + 1),
        selected.for_operators,
    )
    found = [_entry(row) for row in rows[:limit]]
    if len(rows) > limit:
        return found, Cursor(found[-1].at, found[-1].id)
    if selected.action is None and selected.object_id is None and selected.for_operators:
        return found, None
    last = await db.fetchrow(
        FIND_LAST_READ.format(range=rows_of), *place, listing.MAX_ROWS_READ - 1
    )
    return found, None if last is None else Cursor(last["at"], last["id"])


CURSOR_OF = """
    SELECT at, id
      FROM webhook_audit
     WHERE id = $1 AND ($2::uuid IS NULL OR tenant_id = $2) AND ($3 OR NOT for_operators)
"""


async def cursor_of(db: Connection, selected: AuditFilter, record_id: UUID) -> Cursor | None:
    """The cursor of a record; None if the tenant has none of this id, or does not see it."""
    row = await db.fetchrow(CURSOR_OF, record_id, selected.tenant_id, selected.for_operators)
    return None if row is None else Cursor(row["at"], row["id"])


DELETE_EXPIRED = """
    -- Unlocked, which would take the right to UPDATE: one daemon at a time prunes.
    DELETE FROM webhook_audit
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_audit
                            WHERE at < now() - $1::interval
                            ORDER BY at, id
                            LIMIT $2))
"""


async def delete_expired(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the oldest records; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_EXPIRED, older_than, limit)


TENANT_OF_WEBHOOK = "SELECT tenant_id FROM webhooks WHERE id = $1"


async def tenant_of(db: Connection, webhook_id: WebhookId) -> TenantId | None:
    """The tenant of a webhook, for the record of a command that names only the webhook."""
    found = await db.fetchval(TENANT_OF_WEBHOOK, webhook_id)
    return None if found is None else TenantId(found)


def _entry(row: Any) -> AuditEntry:
    record = AuditRecord(
        action=row["action"],
        actor=Actor(ActorKind(row["actor_kind"]), row["actor"]),
        peer=row["peer"],
        tenant_id=None if row["tenant_id"] is None else TenantId(row["tenant_id"]),
        object_type=row["object_type"],
        object_id=row["object_id"],
        status=row["status"],
        count=row["count"],
        reason=row["reason"],
    )
    return AuditEntry(row["id"], row["at"], record)
