"""
Erasing what is stored of one contact or of one tenant, a page and a bounded transaction at a time.

The rule: an event goes last, when neither the inbox nor any delivery of it is left; so an erasure
that was interrupted finds the same again. Nobody's lock is waited for: what is held is left over
and told, and the caller comes back to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.policy.contact_fields import PATHS
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Bite:
    """What one step erased, and how many rows of those asked for are `left`."""

    erased: ErasureCounts
    left: int


NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Place:
    """A row behind which a page begins; `at` is PostgreSQL's text, None for rows without a time."""

    at: str | None = "-infinity"
    id: UUID = NIL


IN_TENANTS = "SELECT EXISTS (SELECT FROM tenants WHERE id = $1)"
IN_OURS = """
    SELECT EXISTS (SELECT FROM webhooks WHERE tenant_id = $1)
        OR EXISTS (SELECT FROM webhook_events WHERE tenant_id = $1)
"""


async def knows(db: Connection, tenant_id: TenantId) -> bool:
    """Whether there is such a tenant, or anything of it: the application may have removed it."""
    # Ours first: the role may lack rights on the application's table.
    return bool(await db.fetchval(IN_OURS, tenant_id) or await db.fetchval(IN_TENANTS, tenant_id))


TIME = "SELECT (now() - interval '1 minute')::text"


async def a_moment_ago(db: Connection) -> str:
    """The database's time, less what a transaction that is just committing may be behind."""
    return str(await db.fetchval(TIME))


# Whether `data` name the contact $1 at any of the paths $2.
NAMED = """
    EXISTS (
        SELECT FROM unnest($2::text[]::jsonpath[]) AS path,
                    jsonb_path_query(data, path) AS found,
                    lower(found #>> '{}') AS lowered
         WHERE found #>> '{}' = $1
            -- An address is the same in capitals, and in `Sarah <sarah@example.com>`.
            OR strpos($1, '@') > 0 AND (lowered = lower($1)
               OR right(lowered, length(lower($1)) + 2) = '<' || lower($1) || '>'))
"""

EVENTS = f"""
    WITH kept AS MATERIALIZED (
        (SELECT id, created_at AS at, event_data AS data
           FROM webhook_events
          WHERE tenant_id = $3 AND (created_at, id) > ($4::text::timestamptz, $5)
          ORDER BY created_at, id
          LIMIT $6)
        UNION ALL
        -- What has no time comes last; in the index's whole order, or all of it would be sorted.
        (SELECT id, created_at, event_data
           FROM webhook_events
          WHERE tenant_id = $3 AND created_at IS NULL
            AND id > CASE WHEN $4::text IS NULL THEN $5
                          ELSE '00000000-0000-0000-0000-000000000000' END
          ORDER BY created_at, id
          LIMIT $6)
        LIMIT $6
    )
    SELECT id, at::text, $1::text IS NULL OR {NAMED} AS named
      FROM kept
     ORDER BY kept.at NULLS LAST, id
"""  # noqa: S608  NAMED is ours


@dataclass(frozen=True, slots=True)
class Events:
    """A page of a tenant's events: those that are meant, of so many `seen`, and where it ended."""

    ids: list[EventId]
    seen: int
    next: Place


async def events(db: Connection, whose: ErasureTarget, after: Place, *, limit: int) -> Events:
    rows = await db.fetch(EVENTS, whose.contact, PATHS, whose.tenant_id, after.at, after.id, limit)
    ids = [EventId(row["id"]) for row in rows if row["named"]]
    return Events(ids, len(rows), _end_of(rows, after))


def _end_of(rows: Sequence[Any], after: Place) -> Place:
    return Place(rows[-1]["at"], rows[-1]["id"]) if rows else after


COUNT_WAITING = """
    SELECT count(DISTINCT event_id) FROM webhook_event_inbox WHERE event_id = ANY ($1::uuid[])
"""


async def count_waiting(db: Connection, ids: Sequence[EventId]) -> int:
    """How many of these events are still to be fanned out."""
    return int(await db.fetchval(COUNT_WAITING, ids))


ERASE_WAITING = """
    WITH gone AS (
        DELETE FROM webhook_event_inbox AS i
         USING (SELECT xid, event_id, webhook_id
                  FROM webhook_event_inbox
                 WHERE event_id = ANY ($1::uuid[])
                   FOR UPDATE SKIP LOCKED) AS held
         WHERE i.xid = held.xid AND i.event_id = held.event_id AND i.webhook_id = held.webhook_id
     RETURNING i.event_id
    )
    SELECT count(DISTINCT event_id) FROM gone
"""

ERASE_DELIVERIES_OF = """
    DELETE FROM webhook_deliveries
     WHERE id = ANY (ARRAY(
            SELECT id
              FROM webhook_deliveries AS d
             WHERE event_id = ANY ($2::uuid[])
               -- No join: a planner without statistics may begin it with the tenant's webhooks, and
               -- read everything of theirs.
               AND (SELECT tenant_id FROM webhooks WHERE id = d.webhook_id) = $1
             LIMIT $3
               FOR UPDATE SKIP LOCKED))
 RETURNING status
"""

ERASE_EVENTS = """
    -- By id first, and then whose: such a planner may take the tenant's index, and read all of it.
    WITH asked AS MATERIALIZED (
        SELECT id, tenant_id FROM webhook_events WHERE id = ANY ($2::uuid[])
    ), waiting AS MATERIALIZED (
        SELECT event_id FROM webhook_event_inbox WHERE event_id = ANY ($2::uuid[])
    )
    DELETE FROM webhook_events
     WHERE id = ANY (ARRAY(
            SELECT e.id
              FROM asked JOIN webhook_events AS e ON e.id = asked.id
             WHERE asked.tenant_id = $1
               AND e.id NOT IN (SELECT event_id FROM waiting)
               AND (SELECT count(*)
                      FROM (SELECT
                              FROM webhook_deliveries AS d
                             WHERE d.event_id = e.id
                               AND (SELECT tenant_id FROM webhooks WHERE id = d.webhook_id) = $1
                             LIMIT 1) AS delivery) = 0
               FOR UPDATE OF e SKIP LOCKED))
"""

EVENTS_LEFT = """
    WITH asked AS MATERIALIZED (
        SELECT tenant_id FROM webhook_events WHERE id = ANY ($2::uuid[])
    )
    SELECT count(*) FROM asked WHERE tenant_id = $1
"""


async def erase_events(
    db: Connection, tenant_id: TenantId, ids: Sequence[EventId], *, limit: int
) -> Bite:
    """
    Erase these events of the tenant's with all of their deliveries, of which at most `limit` now.

    Call again, in another transaction, while any is left.
    """
    waiting = await db.fetchval(ERASE_WAITING, ids)
    deliveries = await db.fetch(ERASE_DELIVERIES_OF, tenant_id, ids, limit)
    gone = int((await db.execute(ERASE_EVENTS, tenant_id, ids)).split()[-1])
    left = await db.fetchval(EVENTS_LEFT, tenant_id, ids)
    return Bite(ErasureCounts(events=gone, waiting=waiting) + _of_deliveries(deliveries), left)


def _of_deliveries(rows: Sequence[Any]) -> ErasureCounts:
    pending = sum(row["status"] == "pending_retry" for row in rows)
    return ErasureCounts(deliveries=len(rows), pending=pending)


WEBHOOKS = "SELECT id FROM webhooks WHERE tenant_id = $1 ORDER BY id"


async def webhooks_of(db: Connection, tenant_id: TenantId) -> list[WebhookId]:
    return [WebhookId(row["id"]) for row in await db.fetch(WEBHOOKS, tenant_id)]


DELIVERIES = """
    WITH kept AS MATERIALIZED (
        (SELECT id, event_id, status, attempted_at AS at
           FROM webhook_deliveries
          WHERE webhook_id = $1 AND (attempted_at, id) > ($2::text::timestamptz, $3)
          ORDER BY attempted_at, id
          LIMIT $4)
        UNION ALL
        (SELECT id, event_id, status, attempted_at
           FROM webhook_deliveries
          WHERE webhook_id = $1 AND attempted_at IS NULL
            AND id > CASE WHEN $2::text IS NULL THEN $3
                          ELSE '00000000-0000-0000-0000-000000000000' END
          ORDER BY attempted_at, id
          LIMIT $4)
        LIMIT $4
    )
    SELECT id, event_id, status, at::text FROM kept ORDER BY kept.at NULLS LAST, id
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `webhook_deliveries`; `pending`: it is still to be made."""

    id: DeliveryId
    event_id: EventId
    pending: bool


@dataclass(frozen=True, slots=True)
class Deliveries:
    """A page of a webhook's deliveries, and where it ended."""

    attempts: list[Attempt]
    next: Place


async def deliveries(
    db: Connection, webhook_id: WebhookId, after: Place, *, limit: int
) -> Deliveries:
    rows = await db.fetch(DELIVERIES, webhook_id, after.at, after.id, limit)
    attempts = [
        Attempt(DeliveryId(row["id"]), EventId(row["event_id"]), row["status"] == "pending_retry")
        for row in rows
    ]
    return Deliveries(attempts, _end_of(rows, after))


NAMING = f"""
    SELECT id
      FROM (SELECT id, payload AS data FROM webhook_deliveries WHERE id = ANY ($3::uuid[])) AS kept
     WHERE {NAMED}
"""  # noqa: S608  NAMED is ours


async def naming(db: Connection, ids: Sequence[DeliveryId], contact: str) -> list[DeliveryId]:
    """Those of the deliveries whose own copy of the data names the contact."""
    return [DeliveryId(row["id"]) for row in await db.fetch(NAMING, contact, PATHS, ids)]


ERASE_DELIVERIES = """
    DELETE FROM webhook_deliveries
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_deliveries WHERE id = ANY ($1::uuid[])
                              FOR UPDATE SKIP LOCKED))
 RETURNING status
"""

DELIVERIES_LEFT = "SELECT count(*) FROM webhook_deliveries WHERE id = ANY ($1::uuid[])"


async def erase_deliveries(db: Connection, ids: Sequence[DeliveryId]) -> Bite:
    """Erase these deliveries; call again, in another transaction, while any is left."""
    gone = await db.fetch(ERASE_DELIVERIES, ids)
    return Bite(_of_deliveries(gone), await db.fetchval(DELIVERIES_LEFT, ids))


PAUSE = """
    UPDATE webhooks SET is_active = false, paused_reason = NULL, updated_at = now()
     WHERE id IN (SELECT id FROM webhooks WHERE tenant_id = $1 AND is_active
                     FOR NO KEY UPDATE SKIP LOCKED)
"""
ACTIVE_LEFT = "SELECT count(*) FROM webhooks WHERE tenant_id = $1 AND is_active"


async def pause(db: Connection, tenant_id: TenantId) -> Bite:
    """Let nothing more be sent to the tenant's webhooks; call again while any is left active."""
    await db.execute(PAUSE, tenant_id)
    return Bite(ErasureCounts(), await db.fetchval(ACTIVE_LEFT, tenant_id))


COUNT_RECORDS = """
    SELECT (SELECT count(*) FROM webhook_replays WHERE webhook_id = $1),
           (SELECT count(*) FROM webhook_notices WHERE webhook_id = $1)
"""


async def count_records(db: Connection, webhook_id: WebhookId) -> ErasureCounts:
    """A webhook with its replays and notices."""
    replays, notices = await db.fetchrow(COUNT_RECORDS, webhook_id)
    return ErasureCounts(replays=replays, notices=notices, webhooks=1)


LOCK_WEBHOOK = """
    SELECT FROM webhooks WHERE id = $1 AND tenant_id = $2 FOR UPDATE SKIP LOCKED
"""
LEFT_OF_WEBHOOK = "DELETE FROM webhook_deliveries WHERE webhook_id = $1 RETURNING status"
ERASE_WEBHOOK = "DELETE FROM webhooks WHERE id = $1"
WEBHOOKS_LEFT = "SELECT count(*) FROM webhooks WHERE id = $1 AND tenant_id = $2"


async def erase_webhook(db: Connection, tenant_id: TenantId, webhook_id: WebhookId) -> Bite:
    """Erase a webhook with its replays, its notices, and what has come since of deliveries."""
    if await db.fetchrow(LOCK_WEBHOOK, webhook_id, tenant_id) is None:
        return Bite(ErasureCounts(), await db.fetchval(WEBHOOKS_LEFT, webhook_id, tenant_id))
    records = await count_records(db, webhook_id)
    late = _of_deliveries(await db.fetch(LEFT_OF_WEBHOOK, webhook_id))
    await db.execute(ERASE_WEBHOOK, webhook_id)  # and what refers to it goes with it
    return Bite(records + late, 0)
