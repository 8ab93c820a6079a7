"""
Leases on inbox rows: prolonged, given back, and ended with the row.

A row is leased while its event is matched. The lease is the fence: deliveries are inserted only by
the daemon that still holds it. Rows are named by place (ctid), so there is no plan to choose, and
by event: where a row was erased meanwhile, its place may have another event's.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from daemon.core.errors import LeaseLostError
from daemon.core.model.ids import EventId
from daemon.core.model.value import value
from daemon.store.columns import columns
from daemon.store.leased_events import LeasedEvent, Orphan, RowId, only
from daemon.store.session import Connection

FORGET = """
    DELETE FROM webhook_event_inbox
     WHERE ctid = ANY ($1::tid[]) AND event_id = ANY ($2::uuid[]) AND leased_by = $3
"""


async def forget(db: Connection, orphaned: Sequence[Orphan], *, daemon_key: int) -> None:
    """Remove rows, just leased by this daemon, of which the event is gone."""
    await db.execute(FORGET, *columns(orphaned), daemon_key)


FIND_MOVED = """
    SELECT row.event_id, row.webhook_id, row.place
      FROM unnest($1::text[]::xid8[], $2::uuid[], $3::uuid[], $4::timestamptz[])
           AS leased (xid, tenant_id, event_id, leased_until)
     CROSS JOIN LATERAL (
            SELECT event_id, webhook_id, ctid AS place
              FROM webhook_event_inbox
             WHERE xid = leased.xid AND tenant_id = leased.tenant_id
               AND event_id = leased.event_id
               AND leased_until = leased.leased_until AND leased_by = $5) AS row
"""


async def moved(
    db: Connection, lost: Sequence[LeasedEvent], *, daemon_key: int
) -> list[LeasedEvent]:
    """
    Return those of these events that have their lease at another place.

    VACUUM FULL and CLUSTER write all rows anew.
    """
    if not lost:
        return []
    keys = [(str(e.key.xid), e.key.tenant_id, e.event.id, e.leased_until) for e in lost]
    rows = await db.fetch(FIND_MOVED, *columns(keys), daemon_key)
    places = {(row["event_id"], only(row["webhook_id"])): row["place"] for row in rows}
    return [
        replace(each, row=place)
        for each in lost
        if (place := places.get((each.event.id, each.event.only))) not in (None, each.row)
    ]


PROLONG = """
    WITH held AS MATERIALIZED (
        SELECT ctid AS row
          FROM webhook_event_inbox
         WHERE ctid = ANY ($1::tid[]) AND event_id = ANY ($2::uuid[])
           AND leased_until = ANY ($3::timestamptz[]) AND leased_by = $4
           FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_event_inbox
       SET leased_until = now() + $5::interval
     WHERE ctid = ANY (ARRAY(SELECT row FROM held))
 RETURNING event_id, webhook_id, ctid AS row, leased_until
"""


async def prolong(
    db: Connection,
    leased: Sequence[LeasedEvent],
    *,
    daemon_key: int,
    lease: timedelta,
) -> list[LeasedEvent]:
    """Prolong leases; returns those events, of which none is locked, with their new leases."""
    rows = await db.fetch(PROLONG, *_held(leased), daemon_key, lease)
    found = {(row["event_id"], only(row["webhook_id"])): row for row in rows}
    return [
        replace(each, row=row["row"], leased_until=row["leased_until"])
        for each in leased
        if (row := found.get((each.event.id, each.event.only)))
    ]


RELEASE = """
    WITH held AS MATERIALIZED (
        SELECT ctid AS row
          FROM webhook_event_inbox
         WHERE ctid = ANY ($1::tid[]) AND event_id = ANY ($2::uuid[])
           AND leased_until = ANY ($3::timestamptz[]) AND leased_by = $4
           FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_event_inbox
       SET leased_until = NULL, leased_by = NULL
     WHERE ctid = ANY (ARRAY(SELECT row FROM held))
"""


async def release(
    db: Connection, leased: Sequence[LeasedEvent], *, daemon_key: int
) -> list[LeasedEvent]:
    """
    Give leases back: the events can be leased again at once.

    Returns those that are still leased: another transaction holds their rows.
    """
    status = await db.execute(RELEASE, *_held(leased), daemon_key)
    if int(status.split()[-1]) == len(leased):
        return []
    return await still_leased(db, leased, daemon_key=daemon_key)


LOCK = """
    SELECT event_id, webhook_id, ctid AS row, leased_until, now() AS at
      FROM webhook_event_inbox
     WHERE ctid = ANY ($1::tid[]) AND event_id = ANY ($2::uuid[])
       AND leased_until = ANY ($3::timestamptz[]) AND leased_by = $4
     ORDER BY ctid
       FOR UPDATE SKIP LOCKED
"""


@value(frozen=True, slots=True)
class LockedEvents:
    """
    Events whose rows this transaction has locked at the time `at`; it is None without any.

    The rows of `held` ones are ours, too, and another transaction holds them.
    """

    at: datetime | None
    ours: list[LeasedEvent]
    held: list[LeasedEvent]


async def lock(db: Connection, leased: Sequence[LeasedEvent], *, daemon_key: int) -> LockedEvents:
    """Lock the rows of those of these events that are still ours, until the transaction ends."""
    rows = await db.fetch(LOCK, *_held(leased), daemon_key)
    found = {(row["event_id"], only(row["webhook_id"])): row["leased_until"] for row in rows}
    ours = [
        each for each in leased if found.get((each.event.id, each.event.only)) == each.leased_until
    ]
    known = {id(each) for each in ours}
    left = [each for each in leased if id(each) not in known]
    held = await still_leased(db, left, daemon_key=daemon_key)
    return LockedEvents(rows[0]["at"] if rows else None, ours, held)


FIND_LEASED = """
    SELECT event_id, webhook_id
      FROM webhook_event_inbox
     WHERE ctid = ANY ($1::tid[]) AND event_id = ANY ($2::uuid[])
       AND leased_until = ANY ($3::timestamptz[]) AND leased_by = $4
"""


async def still_leased(
    db: Connection, leased: Sequence[LeasedEvent], *, daemon_key: int
) -> list[LeasedEvent]:
    """Return those of these events that are still ours, whether or not others hold their rows."""
    if not leased:
        return []
    rows = await db.fetch(FIND_LEASED, *_held(leased), daemon_key)
    found = {(row["event_id"], only(row["webhook_id"])) for row in rows}
    return [each for each in leased if (each.event.id, each.event.only) in found]


END = """
    WITH ended AS (
        DELETE FROM webhook_event_inbox
         WHERE ctid = ANY ($1::tid[]) AND event_id = ANY ($2::uuid[])
           AND leased_until = ANY ($3::timestamptz[]) AND leased_by = $4
     RETURNING true
    )
    SELECT count(*) AS ended, now() AS at FROM ended
"""


async def end(db: Connection, leased: Sequence[LeasedEvent], *, daemon_key: int) -> datetime:
    """
    Remove the rows of events, all of which are still ours; returns the time of the transaction.

    It is the way of most events: one statement, and nothing to read for each. Raises LeaseLostError
    when one of them is not ours any more, and DatabaseBusyError when another transaction holds one.
    """
    row = await db.fetchrow(END, *_held(leased), daemon_key)
    assert row is not None
    if row["ended"] != len(leased):
        raise LeaseLostError(f"{len(leased) - row['ended']} events")
    at: datetime = row["at"]
    return at


REMOVE = "DELETE FROM webhook_event_inbox WHERE ctid = ANY ($1::tid[])"


async def remove(db: Connection, leased: Sequence[LeasedEvent]) -> None:
    """Remove the rows of events that this transaction has locked."""
    await db.execute(REMOVE, [each.row for each in leased])


# A daemon behind a transaction pooler can hold no lock. Its key is negative: its leases end only by
# themselves.
LOCKLESS = -1
FIND_HOLDERS = """
    SELECT DISTINCT leased_by
      FROM webhook_event_inbox
     WHERE leased_until > now() AND leased_by <> $1 AND leased_by >= 0
"""
FREE_LEASES = """
    -- A daemon holds this lock while it lives. One that has merely lost its connection loses its
    -- leases here, and they are its fence: it inserts nothing.
    UPDATE webhook_event_inbox
       SET leased_until = NULL, leased_by = NULL
     WHERE leased_by = $1 AND leased_until > now()
       AND (SELECT pg_catalog.pg_try_advisory_xact_lock($1))
"""


async def free_leases_of_dead_daemons(db: Connection, *, daemon_key: int) -> int:
    """Free the leases of daemons that have died; call outside a transaction. Returns how many."""
    freed = 0
    for holder in await db.fetch(FIND_HOLDERS, daemon_key):
        freed += int((await db.execute(FREE_LEASES, holder["leased_by"])).split()[-1])
    return freed


FREE_LEASES_EXCEPT = """
    UPDATE webhook_event_inbox
       SET leased_until = NULL, leased_by = NULL
     WHERE leased_by = $1 AND leased_until > now() AND NOT event_id = ANY ($2::uuid[])
"""


async def free_leases_except(db: Connection, held: Sequence[EventId], *, daemon_key: int) -> None:
    """Free this daemon's own leases, except those of events that it knows to hold."""
    await db.execute(FREE_LEASES_EXCEPT, daemon_key, held)


def _held(leased: Sequence[LeasedEvent]) -> tuple[list[RowId], list[EventId], list[datetime]]:
    """The places of rows, their events, and the leases among which is that of each."""
    return (
        [each.row for each in leased],
        [each.event.id for each in leased],
        list({each.leased_until for each in leased}),
    )
