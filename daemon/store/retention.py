"""
What is older than it need be: found in bounded looks, and deleted by id in small batches.

A table is gone through lane by lane, a webhook's or a tenant's rows in the order of their times
and ids. A look reads so many rows and no more, whether or not they may go, and says behind which
row the next one begins. What was deleted leaves dead entries in the indexes until it is vacuumed;
so a lane is not read from its beginning each time. What has no time has no age, and stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from daemon.store.session import Connection

FIRST_LANE, FIRST_ID = UUID(int=2**128 - 1), UUID(int=0)
BEGINNING = "-infinity"


@dataclass(frozen=True, slots=True)
class Place:
    """
    Behind which row a look begins: in this lane, behind this time and id.

    Times are PostgreSQL's own text: the application may write some that Python cannot hold.
    """

    lane: UUID = FIRST_LANE
    at: str = BEGINNING
    id: UUID = FIRST_ID


@dataclass(frozen=True, slots=True)
class Found:
    """
    The ids of rows that may go, and where to look next; None when that was the last of them.

    Once a round has gone through everything, the next may leave out what lies before the `floor` of
    this one's first look: a little before what was old then, for an attempt bears the time at which
    it was begun, and not the one at which its result was stored.
    """

    ids: list[UUID]
    next: Place | None
    floor: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """A table of which old rows are deleted, `webhook_` left off; and its two statements."""

    table: str
    find: str
    delete: str


FIND_DELIVERIES = """
    WITH lane AS MATERIALIZED (
        SELECT id, CASE WHEN id < $1 THEN $4::text ELSE $2::text END::timestamptz AS after_at,
               CASE WHEN id < $1 THEN '00000000-0000-0000-0000-000000000000' ELSE $3::uuid
                END AS after_id
          FROM webhooks WHERE id <= $1 ORDER BY id DESC LIMIT 1000
    ), seen AS MATERIALIZED (
        -- Whatever its status: who has a million old attempts pending would be read through each
        -- time for the few that are not.
        SELECT d.*
          FROM lane CROSS JOIN LATERAL (
                SELECT id, webhook_id, attempted_at AS at, status, leased_until
                  FROM webhook_deliveries
                 WHERE webhook_id = lane.id AND attempted_at < now() - $5::interval
                   AND (attempted_at, id) > (lane.after_at, lane.after_id)
                 ORDER BY attempted_at, id
                 LIMIT $6) AS d
         LIMIT $6
    )
    SELECT ARRAY(SELECT id FROM seen
                  WHERE status IN ('success', 'failed')
                    AND (leased_until IS NULL OR leased_until < now())) AS ids,
           (now() - $5::interval - interval '1 minute')::text AS floor,
           next.lane, next.at::text, next.id
      FROM (SELECT) AS one
      LEFT JOIN LATERAL (
            (SELECT webhook_id AS lane, at, id FROM seen
              ORDER BY webhook_id DESC, at, id OFFSET $6 - 1)
            UNION ALL
            (SELECT id, 'infinity', id FROM lane ORDER BY id DESC OFFSET 999)
            LIMIT 1) AS next ON true
"""

DELETE_DELIVERIES = """
    DELETE FROM webhook_deliveries
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_deliveries
                            WHERE id = ANY ($1::uuid[]) AND status IN ('success', 'failed')
                              FOR UPDATE SKIP LOCKED))
"""

FIND_EVENTS = """
    -- A loose scan finds the tenants: one probe for each, however many events it has. Backwards,
    -- for a tenant's oldest entries in the index are those of what was deleted.
    WITH RECURSIVE tenant (id) AS (
        (SELECT tenant_id FROM webhook_events WHERE tenant_id <= $1
          ORDER BY tenant_id DESC LIMIT 1)
        UNION ALL
        SELECT (SELECT e.tenant_id FROM webhook_events AS e WHERE e.tenant_id < tenant.id
                 ORDER BY e.tenant_id DESC LIMIT 1)
          FROM tenant WHERE tenant.id IS NOT NULL
    ), lane AS MATERIALIZED (
        SELECT id, CASE WHEN id < $1 THEN $4::text ELSE $2::text END::timestamptz AS after_at,
               CASE WHEN id < $1 THEN '00000000-0000-0000-0000-000000000000' ELSE $3::uuid
                END AS after_id
          FROM tenant WHERE id IS NOT NULL LIMIT 300
    ), seen AS MATERIALIZED (
        SELECT e.*
          FROM lane CROSS JOIN LATERAL (
                SELECT id, tenant_id, created_at AS at
                  FROM webhook_events
                 WHERE tenant_id = lane.id AND created_at < now() - $5::interval
                   AND (created_at, id) > (lane.after_at, lane.after_id)
                 ORDER BY created_at, id
                 LIMIT $6) AS e
         LIMIT $6
    ), waiting AS MATERIALIZED (
        -- What was published with an old time is delivered first. Once it is out of the inbox it
        -- never comes back, so this look stays true while its rows are deleted.
        SELECT event_id FROM webhook_event_inbox LIMIT 20001
    )
    SELECT ARRAY(SELECT id FROM seen
                  -- Where that many wait, fan-out has better to do than to be looked over.
                  WHERE (SELECT count(*) FROM waiting) <= 20000
                    AND id NOT IN (SELECT event_id FROM waiting)) AS ids,
           (now() - $5::interval - interval '1 minute')::text AS floor,
           next.lane, next.at::text, next.id
      FROM (SELECT) AS one
      LEFT JOIN LATERAL (
            (SELECT tenant_id AS lane, at, id FROM seen
              ORDER BY tenant_id DESC, at, id OFFSET $6 - 1)
            UNION ALL
            (SELECT id, 'infinity', id FROM lane ORDER BY id DESC OFFSET 299)
            LIMIT 1) AS next ON true
"""

DELETE_EVENTS = """
    DELETE FROM webhook_events
     WHERE id = ANY (ARRAY(
            SELECT e.id FROM webhook_events AS e
             WHERE e.id = ANY ($1::uuid[])
               -- An attempt that the application inserted looks its event up. Not EXISTS: that may
               -- become a join which reads all that is pending.
               AND (SELECT bool_or(d.status = 'pending_retry'
                                   AND (d.event_created_at IS NULL OR d.payload IS NULL))
                      FROM webhook_deliveries AS d
                     WHERE d.event_id = e.id) IS NOT TRUE
               FOR UPDATE SKIP LOCKED))
"""

DELIVERIES = Shelf("deliveries", FIND_DELIVERIES, DELETE_DELIVERIES)
EVENTS = Shelf("events", FIND_EVENTS, DELETE_EVENTS)


async def find(
    db: Connection, shelf: Shelf, place: Place, *, floor: str, older_than: timedelta, limit: int
) -> Found:
    """
    Look at up to `limit` rows older than that, from `place` on; which of them may go.

    The lanes behind that of `place` are looked at from the time of `floor` on.
    """
    row = await db.fetchrow(shelf.find, place.lane, place.at, place.id, floor, older_than, limit)
    behind = Place(row["lane"], row["at"], row["id"]) if row["lane"] else None
    return Found(row["ids"], behind, row["floor"])


async def delete(db: Connection, shelf: Shelf, ids: Sequence[UUID]) -> int:
    """Delete those of the found rows that may still go and that nobody holds; how many it were."""
    return int((await db.execute(shelf.delete, ids)).split()[-1])


NOTICES = """
    DELETE FROM webhook_notices
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_notices
                            WHERE created_at < now() - $1::interval
                            ORDER BY created_at
                            LIMIT $2
                              FOR UPDATE SKIP LOCKED))
"""

REPLAYS = """
    DELETE FROM webhook_replays
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_replays
                            WHERE status <> 'running' AND finished_at < now() - $1::interval
                            ORDER BY finished_at
                            LIMIT $2
                              FOR UPDATE SKIP LOCKED))
"""


async def delete_oldest(
    db: Connection, statement: str, *, older_than: timedelta, limit: int
) -> int:
    """Delete up to `limit` NOTICES or REPLAYS, of which there are not many; how many it were."""
    return int((await db.execute(statement, older_than, limit)).split()[-1])


# Any number, the same for all daemons: "retain" in ASCII.
LOCK = 0x72657461696E

TAKE_LOCK = """
    SELECT pg_try_advisory_xact_lock($1)
      FROM (SELECT set_config('statement_timeout', $2, true)) AS bounded
"""


async def only_one(db: Connection, *, statement: timedelta) -> bool:
    """
    Whether no other daemon is at it, and none will be until this transaction ends.

    No `statement` of the transaction takes longer than that: asyncpg.QueryCanceledError.
    """
    return bool(await db.fetchval(TAKE_LOCK, LOCK, f"{statement / timedelta(milliseconds=1):.0f}"))
