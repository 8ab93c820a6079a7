"""
Committed events that wait to be fanned out: found, and leased.

The rule: every committed event is found, however late and in whatever order it commits. The inbox
holds each event until all of its deliveries are inserted; see `inbox_leases` for its way out.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.core.model.events import Event
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.value import value
from daemon.core.scheduling.inbox_scan import LAST_XID, Snapshot, XidRange
from daemon.core.scheduling.inbox_turns import InboxKey, InboxTurn
from daemon.store.columns import columns
from daemon.store.payload_size import FETCHED_AT_ONCE, quick_bytes
from daemon.store.session import Connection

RowId = tuple[int, int]  # where the row lies: block and offset (PostgreSQL's ctid)


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
class Scan:
    """
    What one scan found: where events lie, in the order of the ranges, and those leased at once.

    `at` is the time of the statement. `idle` tenants have no active webhook: their events,
    `unwanted`, left the inbox, up to a number at each place and in all; `cut_off` says that there
    are more. `changed` has the subscriptions that changed since the last scan; None if there are
    too many to name.
    """

    snapshot: Snapshot
    at: datetime
    keys: list[tuple[int, InboxKey]]
    leased: list[LeasedEvent]
    orphaned: list[RowId]
    idle: set[TenantId]
    unwanted: Counter[InboxKey]
    changed: list[tuple[TenantId, WebhookId]] | None

    @property
    def cut_off(self) -> bool:
        """Whether more events of idle tenants may wait at any place."""
        return self.unwanted.total() >= MOST_UNWANTED


LEASE = f"""
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
    )"""  # noqa: S608  made of constants only
OPENED = """
           opened.row, opened.xid::text, opened.tenant_id, opened.event_id, opened.webhook_id,
           opened.served_up_to, opened.leased_until, opened.again, opened.arrived_at,
           opened.id, opened.owner, opened.event_type, opened.created_at, opened.payload_bytes,
           opened.version,
           CASE WHEN opened.payload_bytes <= $3 THEN opened.event_data END AS data"""

# The first rows at a `place` that no daemon has leased.
FREE_ROWS = """
                SELECT ctid AS row
                  FROM webhook_event_inbox
                 WHERE xid = place.xid AND tenant_id = place.tenant_id
                   AND (leased_until IS NULL OR leased_until < now())
                 ORDER BY event_id
                 LIMIT $11
                   FOR UPDATE SKIP LOCKED"""

MOST_UNWANTED = 5000  # rows that one scan removes

SCAN = f"""
    -- A loose scan: one index probe for each transaction and tenant, however many events it has.
    WITH RECURSIVE key AS (
        SELECT range.number, range.last, found.xid, found.tenant_id, 1 AS count
          FROM unnest($5::text[]::xid8[], $6::uuid[], $7::text[]::xid8[])
               WITH ORDINALITY AS range (after_xid, after_tenant, last, number)
         CROSS JOIN LATERAL (
                SELECT xid, tenant_id
                  FROM webhook_event_inbox
                 WHERE (xid, tenant_id) > (range.after_xid, range.after_tenant)
                   AND xid <= range.last
                 ORDER BY xid, tenant_id
                 LIMIT 1) AS found
         -- A transaction that is still running may have a million rows, which nobody sees.
         WHERE range.last = '{LAST_XID}'::xid8
            OR pg_catalog.pg_visible_in_snapshot(range.last, pg_catalog.pg_current_snapshot())
        UNION ALL
        SELECT key.number, key.last, found.xid, found.tenant_id, key.count + 1
          FROM key
         CROSS JOIN LATERAL (
                SELECT xid, tenant_id
                  FROM webhook_event_inbox
                 WHERE (xid, tenant_id) > (key.xid, key.tenant_id) AND xid <= key.last
                 ORDER BY xid, tenant_id
                 LIMIT 1) AS found
         WHERE key.count < $8
    ), fresh AS MATERIALIZED (
        SELECT DISTINCT xid, tenant_id FROM key WHERE NOT tenant_id = ANY ($9::uuid[])
    ), earliest AS MATERIALIZED (
        -- One place of each tenant is looked at. What is in later transactions came after this one
        -- began, and one that is longer than an hour is not expected. Zeros are no tenant: an older
        -- daemon puts events back without theirs.
        SELECT first.tenant_id, coalesce(event.arrived_at - interval '1 hour', '-infinity') AS since
          FROM (SELECT DISTINCT ON (tenant_id) tenant_id, xid
                  FROM fresh
                 WHERE tenant_id <> '00000000-0000-0000-0000-000000000000'
                 ORDER BY tenant_id, xid) AS first
         CROSS JOIN LATERAL (
                SELECT arrived_at
                  FROM webhook_event_inbox
                 WHERE xid = first.xid AND tenant_id = first.tenant_id
                 ORDER BY event_id
                 LIMIT 1) AS event
    ), idle AS MATERIALIZED (
        -- LIMIT keeps both probes within a tenant: a join might read all tenants' webhooks.
        SELECT tenant_id
          FROM earliest
          LEFT JOIN LATERAL (
                SELECT true AS found
                  FROM webhooks
                 WHERE tenant_id = earliest.tenant_id AND is_active
                 LIMIT 1) AS active ON true
          -- Paused since the events came: first attempts may have been interrupted.
          LEFT JOIN LATERAL (
                SELECT true AS found
                  FROM webhooks
                 WHERE tenant_id = earliest.tenant_id AND NOT is_active
                   AND paused_at > earliest.since
                 LIMIT 1) AS paused ON true
         WHERE active.found IS NULL AND paused.found IS NULL
    ), unwanted AS (
        -- Their events match no webhook, and leave the inbox without a turn.
        DELETE FROM webhook_event_inbox
         WHERE ctid = ANY (ARRAY(
                SELECT found.row
                  FROM fresh AS place
                 CROSS JOIN LATERAL ({FREE_ROWS}) AS found
                 WHERE place.tenant_id = ANY (ARRAY(SELECT tenant_id FROM idle))
                 LIMIT {MOST_UNWANTED}))
     RETURNING xid, tenant_id
    ), placed AS MATERIALIZED (
        SELECT xid, tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY xid) AS place
          FROM fresh
         WHERE NOT tenant_id = ANY (ARRAY(SELECT tenant_id FROM idle))
    ), chosen AS MATERIALIZED (
        -- The first of each tenant comes before the second of any: `inbox_scan.unserved` knows.
        SELECT xid, tenant_id FROM placed ORDER BY place, xid, tenant_id LIMIT $10
    ), locked AS MATERIALIZED (
        SELECT found.row
          FROM chosen AS place
         CROSS JOIN LATERAL ({FREE_ROWS}) AS found
         LIMIT $10
    ), {LEASE}, changed AS MATERIALIZED (
        (SELECT tenant_id, webhook_id
           FROM webhook_subscription_changes
          WHERE xid >= $12::text::xid8
          ORDER BY xid
          LIMIT $14)
        UNION ALL
        (SELECT tenant_id, webhook_id
           FROM webhook_subscription_changes
          WHERE xid = ANY (ARRAY(SELECT ended
                                  FROM pg_catalog.unnest($13::text[]::xid8[]) AS ended
                                 WHERE pg_catalog.pg_visible_in_snapshot(
                                           ended, pg_catalog.pg_current_snapshot())))
          ORDER BY xid
          LIMIT $14)
    )
    SELECT scan.*, {OPENED}
      FROM (SELECT pg_current_snapshot()::text AS snapshot, now() AS at,
                   -- Qualified: `xid` alone would be the text, and 1000 come before 999.
                   ARRAY(SELECT number::int FROM key ORDER BY number, xid, tenant_id) AS numbers,
                   ARRAY(SELECT xid::text FROM key ORDER BY number, key.xid, tenant_id) AS xids,
                   ARRAY(SELECT tenant_id FROM key ORDER BY number, xid, tenant_id) AS tenants,
                   ARRAY(SELECT tenant_id FROM idle) AS idle,
                   ARRAY(SELECT xid::text FROM unwanted ORDER BY unwanted.xid, tenant_id)
                       AS unwanted_xids,
                   ARRAY(SELECT tenant_id FROM unwanted ORDER BY xid, tenant_id)
                       AS unwanted_tenants,
                   ARRAY(SELECT tenant_id FROM changed) AS changed_tenants,
                   ARRAY(SELECT webhook_id FROM changed) AS changed_webhooks) AS scan
      LEFT JOIN opened ON true
"""  # noqa: S608  made of constants only

MOST_CHANGES = 2000
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
        """The first four parameters of the statements."""
        return self.lease, self.daemon_key, FETCHED_AT_ONCE, self.most_bytes


async def scan(
    db: Connection,
    ranges: Sequence[XidRange],
    leasing: Leasing,
    *,
    seen: Snapshot,
    waiting: Sequence[TenantId],
    keys: int,
    limit: int,
    per_key: int,
) -> Scan:
    """
    Find where events lie in these ranges, up to `keys` places in each, and lease the first at once.

    At most `limit` events are leased, and `per_key` of one place; none of tenants that are
    `waiting` for their turn. `seen` is the snapshot since which subscriptions have changed.
    """
    rows = await db.fetch(
        SCAN,
        *leasing.arguments,
        *columns([(str(each.after.xid), each.after.tenant_id, str(each.last)) for each in ranges]),
        *(keys, waiting, limit, per_key),
        *(str(seen.xmax), [str(xid) for xid in seen.running], MOST_CHANGES),
    )
    first = rows[0]
    found = zip(first["numbers"], first["xids"], first["tenants"], strict=True)
    changed = zip(first["changed_tenants"], first["changed_webhooks"], strict=True)
    leased, orphaned = _leased(rows)
    return Scan(
        snapshot=Snapshot.parse(first["snapshot"]),
        at=first["at"],
        keys=[(number - 1, InboxKey(int(xid), TenantId(tenant))) for number, xid, tenant in found],
        leased=leased,
        orphaned=orphaned,
        idle={TenantId(each) for each in first["idle"]},
        unwanted=Counter(
            InboxKey(int(xid), TenantId(tenant))
            for xid, tenant in zip(first["unwanted_xids"], first["unwanted_tenants"], strict=True)
        ),
        changed=None
        if len(first["changed_webhooks"]) >= MOST_CHANGES
        else [(TenantId(tenant), WebhookId(webhook)) for tenant, webhook in changed],
    )


LEASE_TURNS = f"""
    WITH locked AS MATERIALIZED (
        SELECT found.row
          FROM unnest($5::text[]::xid8[], $6::uuid[], $7::uuid[], $8::int[])
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
    ), {LEASE}
    SELECT {OPENED} FROM opened
"""  # noqa: S608  made of constants only


async def lease_turns(
    db: Connection, turns: Sequence[InboxTurn], leasing: Leasing
) -> tuple[list[LeasedEvent], list[RowId]]:
    """Lease the events of these turns; returns them, and rows of which the event is gone."""
    rows = await db.fetch(
        LEASE_TURNS,
        *leasing.arguments,
        *columns([(str(t.key.xid), t.key.tenant_id, t.after_event, t.limit) for t in turns]),
    )
    return _leased(rows)


def _leased(rows: Sequence[Any]) -> tuple[list[LeasedEvent], list[RowId]]:
    leased = [_leased_event(row) for row in rows if row["id"] is not None]
    orphaned = [row["row"] for row in rows if row["row"] is not None and row["id"] is None]
    leased.sort(key=lambda each: (each.key.xid, each.event.id))
    return leased, orphaned


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
