"""
Events whose rows in the inbox are leased, with what a first attempt at them needs.

The lease brings the endpoints of tenants with few webhooks along: no other statement is
needed then.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.core.model.events import Event
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.model.value import value
from daemon.core.scheduling.inbox_turns import InboxKey, InboxTurn
from daemon.store.columns import columns
from daemon.store.endpoints import OF_TENANTS, READ_OF_TENANTS, KnownEndpoints, endpoints_of_tenants
from daemon.store.measuring import read_pages
from daemon.store.payload_size import FETCHED_AT_ONCE, quick_bytes
from daemon.store.session import Connection

RowId = tuple[int, int]  # where the row lies: block and offset (PostgreSQL's ctid)
Orphan = tuple[RowId, EventId]


@value(frozen=True, slots=True)
class LeasedEvent:
    """
    An event of which the inbox row is leased.

    `payload_bytes` is the size of the data as PostgreSQL prints it, and `data` its JSON text; both
    are None where measuring may take long. `served_up_to` is the last webhook, by id, that has its
    delivery already. An event that was leased before (`again`) may have deliveries to any webhook;
    `arrived_at` is when it was inserted, None for those of earlier versions. An event that was
    changed since has another `version`.
    """

    event: Event
    key: InboxKey
    row: RowId
    leased_until: datetime
    served_up_to: WebhookId | None
    payload_bytes: int | None
    data: str | None
    again: bool = False
    arrived_at: datetime | None = None
    version: str | None = None


@value(frozen=True, slots=True)
class Leased:
    """
    Events that one statement leased, and rows of which the event is gone.

    `endpoints` has some of their tenants' webhooks, as they were at that moment, and `pages`
    how many pages of webhooks were read to find those of each tenant.
    """

    events: list[LeasedEvent]
    orphaned: list[Orphan]
    endpoints: KnownEndpoints
    pages: Mapping[TenantId, int]

    def joined(self, other: "Leased") -> "Leased":
        """Both together."""
        return Leased(
            self.events + other.events,
            self.orphaned + other.orphaned,
            self.endpoints | other.endpoints,
            {**self.pages, **other.pages},
        )


LONG_LEASE = timedelta(seconds=60)


@value(frozen=True, slots=True)
class Leasing:
    """
    How events are leased: for how long, by which daemon, measured up to `most_bytes`.

    Nothing is sent from a database of another `installation`; None is any.

    An event that takes long is leased for `long_lease`: a dead daemon's is freed at once anyhow.
    """

    lease: timedelta
    daemon_key: int
    most_bytes: int
    installation: str | None = None

    @property
    def long_lease(self) -> timedelta:
        """For an event that is matched or inserted in pieces."""
        return max(self.lease, LONG_LEASE)

    @property
    def arguments(self) -> tuple[object, ...]:
        """The first five parameters of the statements."""
        return self.lease, self.daemon_key, FETCHED_AT_ONCE, self.most_bytes, self.installation


def lease(slow: str) -> str:
    """
    SQL: parts of statements that have the rows to lease as `locked`.

    No endpoints are read of the tenants in the array `slow`.
    """
    return f"""
    leased AS (
        UPDATE webhook_event_inbox
           SET leased_until = now() + $1::interval, leased_by = $2, leases = leases + 1
         -- By place: no plan to choose, whatever the statistics say.
         WHERE ctid = ANY (ARRAY(SELECT row FROM locked))
     RETURNING ctid AS row, xid, tenant_id, event_id, webhook_id, served_up_to, leased_until,
               leases > 1 AS again, arrived_at
    ), opened AS MATERIALIZED (
        SELECT leased.*, e.id, e.tenant_id AS owner, coalesce(e.event_type, '') AS event_type,
               -- A time that Python cannot represent would stop the whole inbox.
               -- In place of none, or of that: when it came in, the same for each webhook.
               CASE WHEN e.created_at BETWEEN '0001-01-02' AND '9999-12-30' THEN e.created_at
                    ELSE coalesce(leased.arrived_at, now()) END AS created_at,
               {quick_bytes("e.event_data", "$4")} AS payload_bytes,
               e.event_data, e.xmin::text AS version
          FROM leased
          -- LIMIT: a join may read all events, by a plan that was made while there were none.
          LEFT JOIN LATERAL (
                SELECT *, xmin FROM webhook_events WHERE id = leased.event_id LIMIT 1) AS e ON true
    ), owner AS (
        SELECT DISTINCT owner AS tenant_id FROM opened WHERE NOT owner = ANY ({slow}::uuid[])
    ), {OF_TENANTS}"""  # noqa: S608  made of constants only


OPENED = """
           opened.row, opened.xid::text, opened.tenant_id, opened.event_id, opened.webhook_id,
           opened.served_up_to, opened.leased_until, opened.again, opened.arrived_at,
           opened.id, opened.owner, opened.event_type, opened.created_at, opened.payload_bytes,
           opened.version,
           CASE WHEN opened.payload_bytes <= $3 THEN opened.event_data END AS data"""

LEASE_TURNS = f"""
    WITH locked AS MATERIALIZED (
        SELECT found.row
          FROM unnest($6::text[]::xid8[], $7::uuid[], $8::uuid[], $9::int[])
               AS turn (xid, tenant_id, after_event, max_events)
         CROSS JOIN LATERAL (
                SELECT ctid AS row
                  FROM webhook_event_inbox
                 WHERE xid = turn.xid AND tenant_id = turn.tenant_id
                   AND event_id >= turn.after_event
                   AND (leased_until IS NULL OR leased_until < now())
                 ORDER BY event_id
                 LIMIT turn.max_events
                   FOR UPDATE SKIP LOCKED) AS found
        UNION ALL
        -- One probe for each: dead rows that lie between them are not passed.
        SELECT found.row
          FROM unnest($10::text[]::xid8[], $11::uuid[], $12::uuid[])
               AS event (xid, tenant_id, event_id)
         CROSS JOIN LATERAL (
                SELECT ctid AS row
                  FROM webhook_event_inbox
                 WHERE xid = event.xid AND tenant_id = event.tenant_id
                   AND event_id = event.event_id
                   AND (leased_until IS NULL OR leased_until < now())
                   FOR UPDATE SKIP LOCKED) AS found
    ), {lease(slow="$13")}
    SELECT endpoints.*, {OPENED}
      FROM (SELECT {READ_OF_TENANTS}, {read_pages("looked")}) AS endpoints
      FULL JOIN opened ON false
"""  # noqa: S608  made of constants only


async def lease_turns(
    db: Connection, turns: Sequence[InboxTurn], leasing: Leasing, *, slow: Sequence[TenantId] = ()
) -> Leased:
    """Lease the events of these turns; the endpoints of `slow` tenants are not read with them."""
    ranges = [
        (str(t.key.xid), t.key.tenant_id, t.after_event, t.limit) for t in turns if not t.events
    ]
    found = [(str(t.key.xid), t.key.tenant_id, each) for t in turns for each in t.events]
    return leased_in(
        await db.fetch(
            LEASE_TURNS,
            *leasing.arguments,
            *(columns(ranges) or ([], [], [], [])),
            *(columns(found) or ([], [], [])),
            slow,
        )
    )


def leased_in(rows: Sequence[Any]) -> Leased:
    """Return what is leased by a statement that has `lease` and `read_pages`, from its rows."""
    events = [_leased_event(row) for row in rows if row["id"] is not None]
    events.sort(key=lambda each: (each.key.xid, each.event.id))
    first = next(row for row in rows if row["ready"] is not None)
    pages: Counter[TenantId] = Counter()
    for tenant_id, count in zip(first["read_tenants"], first["read_pages"], strict=True):
        pages[TenantId(tenant_id)] += count
    return Leased(
        events,
        orphaned=[
            (row["row"], EventId(row["event_id"]))
            for row in rows
            if row["row"] is not None and row["id"] is None
        ],
        endpoints=endpoints_of_tenants(first),
        pages=pages,
    )


def _leased_event(row: Any) -> LeasedEvent:
    return LeasedEvent(
        event=Event(
            id=row["id"],
            tenant_id=row["owner"],
            type=row["event_type"],
            created_at=row["created_at"],
            only=only(row["webhook_id"]),
        ),
        key=InboxKey(int(row["xid"]), row["tenant_id"]),
        row=row["row"],
        leased_until=row["leased_until"],
        served_up_to=row["served_up_to"],
        payload_bytes=row["payload_bytes"],
        data=row["data"],
        again=row["again"],
        arrived_at=row["arrived_at"],
        version=row["version"],
    )


def only(webhook_id: UUID) -> WebhookId | None:
    """The one webhook that a row is for; zeros mean every webhook."""
    return None if webhook_id.int == 0 else WebhookId(webhook_id)
