"""
New deliveries, as fan-out inserts them, in one statement with the end of their events' wait.

Deliveries are inserted by fan-out (here), leased by the dispatcher (`claims`) and given their
results by the result writer (`results`).
"""

from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.value import value
from daemon.core.scheduling.inbox_turns import InboxKey
from daemon.store.columns import columns
from daemon.store.inbox_leases import still_leased
from daemon.store.leased_events import LeasedEvent
from daemon.store.session import Connection


@value(frozen=True, slots=True)
class NewDelivery:
    """The first attempt to deliver a leased event to a webhook; its data print that many bytes."""

    id: DeliveryId
    webhook_id: WebhookId
    leased: LeasedEvent
    payload_bytes: int

    @property
    def tenant_id(self) -> TenantId:
        """The tenant whose event it is."""
        return self.leased.event.tenant_id


@value(frozen=True, slots=True)
class Inserted:
    """
    The deliveries that were inserted, due `at` the time of the statement.

    `events` are those of which the lease still held, with their new leases if they stay in the
    inbox. Those that are `locked` are ours, too, but another transaction holds their rows: nothing
    was inserted for them. `returned` has the places to which events went back, because webhooks are
    locked, and after how many seconds all of them can be leased again.
    """

    at: datetime
    events: list[LeasedEvent]
    deliveries: list[NewDelivery]
    returned: dict[InboxKey, float]
    locked: list[LeasedEvent] = field(default_factory=list)


# By place, and fenced by the lease: the place may have a new row by now.
STILL_OURS = """
             WHERE ctid = ANY ($1::tid[]) AND leased_until = ANY ($2::timestamptz[])
               AND leased_by = $3
               AND event_id = ($4::uuid[])[pg_catalog.array_position($1::tid[], ctid)]"""

INSERT_FOR_HELD = """
    WITH place AS MATERIALIZED (
        SELECT ctid AS row, pg_catalog.array_position($1::tid[], ctid) AS number,
               arrived_at
          FROM webhook_event_inbox
         {still_ours}
           FOR UPDATE SKIP LOCKED
    ), held AS (
        {end_or_prolong}
    ), ours AS MATERIALIZED (
        SELECT new.*
          FROM unnest($5::uuid[], $6::uuid[], $7::int[], $8::timestamptz[], $9::bigint[],
                      $10::int[])
               AS new (id, webhook_id, place, created_at, payload_bytes, owned)
         WHERE new.place = ANY (ARRAY(SELECT number FROM place))
    ), insertable AS MATERIALIZED (
        -- An insert for another webhook would wait for the transaction that is deleting or locking
        -- it, and the events of all other webhooks would wait too. With the id of one that was
        -- deleted, another tenant may have one: it gets nothing of the former one's.
        SELECT wanted.number
          FROM unnest($11::uuid[], $12::uuid[]) WITH ORDINALITY AS wanted (id, tenant_id, number)
         CROSS JOIN LATERAL (
                SELECT FROM webhooks
                 WHERE id = wanted.id AND tenant_id = wanted.tenant_id
                   FOR KEY SHARE SKIP LOCKED) AS webhook
    ), inserted AS (
        INSERT INTO webhook_deliveries
               (id, webhook_id, event_id, event_type, payload, payload_bytes, event_created_at)
        SELECT ours.id, ours.webhook_id, e.id, coalesce(e.event_type, ''),
               -- What is too large to be sent is not copied, nor what was changed since it was
               -- measured: it is measured again, with its claim.
               CASE WHEN ours.payload_bytes <= $13 AND e.is_measured THEN e.event_data END,
               CASE WHEN e.is_measured THEN ours.payload_bytes END, ours.created_at
          FROM ours
         CROSS JOIN LATERAL (
               SELECT *, xmin::text = ($15::text[])[ours.place] AS is_measured
                 FROM webhook_events
                WHERE id = ($4::uuid[])[ours.place]
                -- A join may read all events, by a plan that was made while there were none.
                LIMIT 1) AS e
         WHERE ours.owned = ANY (ARRAY(SELECT number FROM insertable))
     RETURNING id
    ), returned AS (
        -- A lease without a daemon: it is tried again at intervals that grow with its age.
        INSERT INTO webhook_event_inbox (event_id, webhook_id, tenant_id, arrived_at, leased_until)
        SELECT ($4::uuid[])[ours.place], ours.webhook_id, ($14::uuid[])[ours.place],
               event.arrived_at,
               now() + greatest(interval '{shortest}', least(interval '{longest}',
                                (now() - event.arrived_at) / 2::float8))
          FROM ours
         CROSS JOIN LATERAL (SELECT coalesce(place.arrived_at, now()) AS arrived_at
                               FROM place WHERE place.number = ours.place) AS event
         WHERE NOT ours.owned = ANY (ARRAY(SELECT number FROM insertable))
     RETURNING xid, tenant_id, leased_until
    )
    SELECT now() AS at, ARRAY(SELECT number FROM place) AS places,
           ARRAY(SELECT id FROM inserted) AS deliveries,
           ARRAY(SELECT xid::text FROM returned ORDER BY returned.xid, tenant_id, leased_until)
               AS returned_xids,
           ARRAY(SELECT tenant_id FROM returned ORDER BY xid, tenant_id, leased_until)
               AS returned_tenants,
           ARRAY(SELECT leased_until FROM returned ORDER BY xid, tenant_id, leased_until)
               AS returned_until,
           ARRAY(SELECT row FROM held) AS rows, (SELECT max(leased_until) FROM held) AS leased_until
"""
PAUSES = {"shortest": "500 milliseconds", "longest": "30 seconds"}
INSERT_ALL = INSERT_FOR_HELD.format(
    **PAUSES,
    still_ours=STILL_OURS.strip(),
    end_or_prolong="""DELETE FROM webhook_event_inbox
         WHERE ctid = ANY (ARRAY(SELECT row FROM place WHERE ($16::bool[])[number]))
     RETURNING ctid AS row, leased_until""",
)
INSERT_SOME = INSERT_FOR_HELD.format(
    **PAUSES,
    still_ours=STILL_OURS.strip(),
    end_or_prolong="""UPDATE webhook_event_inbox
           SET leased_until = now() + $16::interval, served_up_to = $17
         WHERE ctid = ANY (ARRAY(SELECT row FROM place))
     RETURNING ctid AS row, leased_until""",
)


async def insert_all(
    db: Connection,
    events: Sequence[LeasedEvent],
    new: Sequence[NewDelivery],
    *,
    ends: Sequence[bool],
    daemon_key: int,
    most_bytes: int,
) -> Inserted:
    """
    Insert deliveries of these events, and remove the events that end with them from the inbox.

    For events of which the lease was lost nothing is inserted: another daemon has them. Deliveries
    of more than `most_bytes` get no payload: they are recorded, and never sent.
    """
    row = await db.fetchrow(INSERT_ALL, *_arguments(events, new, daemon_key, most_bytes), ends)
    ours = set(row["places"])
    left = [each for number, each in enumerate(events, 1) if number not in ours]
    locked = await still_leased(db, left, daemon_key=daemon_key)
    inserted = _inserted(row, [events[number - 1] for number in row["places"]], new)
    return replace(inserted, locked=locked)


async def insert_some(
    db: Connection,
    event: LeasedEvent,
    new: Sequence[NewDelivery],
    *,
    daemon_key: int,
    most_bytes: int,
    lease: timedelta,
) -> Inserted:
    """Insert the next deliveries of an event, by webhook id; it stays in the inbox for the rest."""
    arguments = _arguments([event], new, daemon_key, most_bytes)
    up_to = new[-1].webhook_id
    row = await db.fetchrow(INSERT_SOME, *arguments, lease, up_to)
    prolonged = [
        replace(event, row=place, leased_until=row["leased_until"], served_up_to=up_to)
        for place in row["rows"]
    ]
    return _inserted(row, prolonged, new)


FIND_SERVED = """
    SELECT pair.event_id, pair.webhook_id
      FROM unnest($1::uuid[], $2::uuid[]) AS pair (event_id, webhook_id)
     CROSS JOIN LATERAL (
            SELECT
              FROM webhook_deliveries
             -- A range of keys, as in `store.attempt_chains`.
             WHERE (event_id, webhook_id) >= (pair.event_id, pair.webhook_id)
               AND (event_id, webhook_id) <= (pair.event_id, pair.webhook_id)
               AND (replay_id IS NULL OR brought_forward)
             LIMIT 1) AS found
"""


async def served(
    db: Connection, pairs: Sequence[tuple[EventId, WebhookId]]
) -> set[tuple[EventId, WebhookId]]:
    """Return those pairs of an event and a webhook that have a delivery, replays excepted."""
    if not pairs:
        return set()
    rows = await db.fetch(FIND_SERVED, *columns(pairs))
    return {(EventId(row["event_id"]), WebhookId(row["webhook_id"])) for row in rows}


def _arguments(
    events: Sequence[LeasedEvent], new: Sequence[NewDelivery], daemon_key: int, most_bytes: int
) -> tuple[object, ...]:
    place = {id(each): number for number, each in enumerate(events, 1)}
    pairs = dict.fromkeys((each.webhook_id, each.tenant_id) for each in new)
    number_of = {pair: number for number, pair in enumerate(pairs, 1)}
    rows = [
        (
            *(each.id, each.webhook_id, place[id(each.leased)]),
            *(each.leased.event.created_at, each.payload_bytes),
            number_of[each.webhook_id, each.tenant_id],
        )
        for each in new
    ]
    return (
        [each.row for each in events],
        list({each.leased_until for each in events}),
        daemon_key,
        [each.event.id for each in events],
        *(columns(rows) if rows else ((),) * 6),
        *(columns(pairs) if pairs else ((),) * 2),
        most_bytes,
        [each.event.tenant_id for each in events],
        [each.version for each in events],
    )


def _inserted(row: Any, events: list[LeasedEvent], new: Sequence[NewDelivery]) -> Inserted:
    ids = set(row["deliveries"])
    at = row["at"]
    paused = zip(row["returned_xids"], row["returned_tenants"], row["returned_until"], strict=True)
    returned = {
        InboxKey(int(xid), TenantId(tenant)): (until - at).total_seconds()
        for xid, tenant, until in paused
    }
    return Inserted(at, events, [each for each in new if each.id in ids], returned)
