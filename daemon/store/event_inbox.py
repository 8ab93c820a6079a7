"""
Committed events that wait to be fanned out: found, and leased.

The rule: every committed event is found, however late and in whatever order it commits. The inbox
holds each event until all of its deliveries are inserted; see `inbox_leases` for its way out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.model.value import value
from daemon.core.scheduling.inbox_scan import LAST_TENANT, LAST_XID, Snapshot, XidRange
from daemon.core.scheduling.inbox_turns import Continuation, FoundEvents, InboxKey
from daemon.store.columns import columns
from daemon.store.endpoints import READ_OF_TENANTS
from daemon.store.leased_events import OPENED, Leased, Leasing, lease, leased_in
from daemon.store.loose_scan import places
from daemon.store.measuring import read_pages
from daemon.store.server_identity import SERVER, server_of
from daemon.store.session import Connection
from daemon.store.unwanted_events import MOST_UNWANTED, NO_TENANT, unwanted


@value(frozen=True, slots=True)
class Scan:
    """
    What one scan found: where events lie, in the order of the ranges, and those leased at once.

    `at` is the time of the statement. `idle` tenants have no active webhook: their events,
    `unwanted`, left the inbox, up to a number at each place and in all; `cut_off` says that there
    are more. `changed` has the subscriptions that changed since the last scan; None if there are
    too many of them: `subscription_changes` finds those.
    """

    snapshot: Snapshot
    at: datetime
    keys: list[tuple[int, InboxKey]]
    leased: Leased
    idle: set[TenantId]
    unwanted: Counter[InboxKey]
    changed: list[tuple[TenantId, WebhookId]] | None

    @property
    def cut_off(self) -> bool:
        """Whether more events of idle tenants may wait at any place."""
        return self.unwanted.total() >= MOST_UNWANTED


# The first rows at a `place` that no daemon has leased.
FREE_ROWS = """
                SELECT ctid AS row
                  FROM webhook_event_inbox
                 WHERE xid = place.xid AND tenant_id = place.tenant_id
                   AND (leased_until IS NULL OR leased_until < now())
                 ORDER BY event_id
                 LIMIT $12
                   FOR UPDATE SKIP LOCKED"""


SCAN = f"""
    WITH RECURSIVE given AS (
        SELECT *
          FROM unnest($6::text[]::xid8[], $7::uuid[], $8::text[]::xid8[], $16::bool[])
               WITH ORDINALITY AS range (after_xid, after_tenant, last, is_single, number)
    ), range AS (
        -- A transaction that is running may have a million rows, which no other sees.
        SELECT number, after_xid, after_tenant, last
          FROM given
         WHERE last <> '{LAST_XID}'::xid8
           -- Nor those that it left behind when it was rolled back. CASE: a number that this server
           -- has not reached, as after a failover, has no status but an error.
           AND CASE WHEN pg_catalog.pg_visible_in_snapshot(last, pg_catalog.pg_current_snapshot())
                    THEN NOT is_single
                         OR pg_catalog.pg_xact_status(last) IS DISTINCT FROM 'aborted'::text
                    ELSE false END
        UNION ALL
        -- The newest range: its parts between those that are running.
        SELECT given.number, coalesce(part.running::text::xid8, given.after_xid),
               CASE WHEN part.running IS NULL THEN given.after_tenant ELSE '{LAST_TENANT}' END,
               (part.bound - 1)::text::xid8
          FROM given
         CROSS JOIN LATERAL (
                SELECT bound, pg_catalog.lag(bound) OVER (ORDER BY bound) AS running
                  FROM (SELECT xip::text::bigint AS bound
                          FROM pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) AS xip
                        UNION ALL
                        SELECT pg_catalog.pg_snapshot_xmax(
                                   pg_catalog.pg_current_snapshot())::text::bigint) AS each
                 WHERE bound > given.after_xid::text::bigint) AS part
         WHERE given.last = '{LAST_XID}'::xid8
    ), {places("webhook_event_inbox", most="$9")}, fresh AS MATERIALIZED (
        -- Hashed, whatever the plan: many tenants may be waiting.
        SELECT DISTINCT xid, tenant_id
          FROM key
         WHERE tenant_id NOT IN (SELECT pg_catalog.unnest($10::uuid[]))
    ), earliest AS MATERIALIZED (
        -- One place of each tenant is looked at. What is in later transactions came after this one
        -- began, and one that is longer than an hour is not expected. Zeros are no tenant: an older
        -- daemon puts events back without theirs.
        SELECT first.tenant_id, coalesce(event.arrived_at - interval '1 hour', '-infinity') AS since
          FROM (SELECT DISTINCT ON (tenant_id) tenant_id, xid
                  FROM fresh
                 WHERE tenant_id <> {NO_TENANT}
                   AND NOT tenant_id = ANY ($17::uuid[])
                 ORDER BY tenant_id, xid) AS first
         CROSS JOIN LATERAL (
                SELECT arrived_at
                  FROM webhook_event_inbox
                 WHERE xid = first.xid AND tenant_id = first.tenant_id
                 ORDER BY event_id
                 LIMIT 1) AS event
    ), {unwanted("fresh", rows=FREE_ROWS)}, placed AS MATERIALIZED (
        SELECT xid, tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY xid) AS place
          FROM fresh
         WHERE tenant_id NOT IN (SELECT tenant_id FROM idle)
    ), chosen AS MATERIALIZED (
        -- The first of each tenant comes before the second of any: `inbox_scan.unserved` knows.
        SELECT xid, tenant_id FROM placed ORDER BY place, xid, tenant_id LIMIT $11
    ), locked AS MATERIALIZED (
        SELECT found.row
          FROM chosen AS place
         CROSS JOIN LATERAL ({FREE_ROWS}) AS found
         LIMIT $11
    ), {lease(slow="$17")}, pages AS MATERIALIZED (
        SELECT tenant_id, pages FROM probed UNION ALL SELECT tenant_id, pages FROM looked
    ), changed AS MATERIALIZED (
        (SELECT tenant_id, webhook_id
           FROM webhook_subscription_changes
          WHERE xid >= $13::text::xid8
            -- A restored dump may have any number of them in this server's future.
            AND xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
          ORDER BY xid
          LIMIT $15)
        UNION ALL
        (SELECT tenant_id, webhook_id
           FROM webhook_subscription_changes
          WHERE xid = ANY (ARRAY(SELECT ended
                                  FROM pg_catalog.unnest($14::text[]::xid8[]) AS ended
                                 WHERE pg_catalog.pg_visible_in_snapshot(
                                           ended, pg_catalog.pg_current_snapshot())))
          ORDER BY xid
          LIMIT $15)
    )
    SELECT scan.*, {OPENED}
      FROM (SELECT pg_current_snapshot()::text AS snapshot, {SERVER}, now() AS at,
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
                   ARRAY(SELECT webhook_id FROM changed) AS changed_webhooks,
                   {READ_OF_TENANTS}, {read_pages("pages")}) AS scan
      -- Beside one another: the long arrays come once, not with each event.
      FULL JOIN opened ON false
"""  # noqa: S608  made of constants only

MOST_CHANGES = 2000


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
    slow: Sequence[TenantId] = (),
) -> Scan:
    """
    Find where events lie in these ranges, up to `keys` places in each, and lease the first at once.

    At most `limit` events are leased, and `per_key` of one place; none of tenants that are
    `waiting` for their turn. `seen` is the snapshot since which subscriptions have changed. Of
    `slow` tenants no webhooks are looked up: neither are they idle, nor come their endpoints.
    """
    *places, is_single = _columns_of(ranges)
    rows = await db.fetch(
        SCAN,
        *leasing.arguments,
        *places,
        *(keys, waiting, limit, per_key),
        *(str(seen.xmax), [str(xid) for xid in seen.running], MOST_CHANGES),
        is_single,
        slow,
    )
    first = next(row for row in rows if row["snapshot"] is not None)
    found = zip(first["numbers"], first["xids"], first["tenants"], strict=True)
    changed = zip(first["changed_tenants"], first["changed_webhooks"], strict=True)
    return Scan(
        snapshot=_snapshot_of(first),
        at=first["at"],
        keys=[(number - 1, InboxKey(int(xid), TenantId(tenant))) for number, xid, tenant in found],
        leased=leased_in(rows),
        idle={TenantId(each) for each in first["idle"]},
        unwanted=Counter(
            InboxKey(int(xid), TenantId(tenant))
            for xid, tenant in zip(first["unwanted_xids"], first["unwanted_tenants"], strict=True)
        ),
        changed=None
        if len(first["changed_webhooks"]) >= MOST_CHANGES
        else [(TenantId(tenant), WebhookId(webhook)) for tenant, webhook in changed],
    )


FIND_PLACES = f"""
    WITH RECURSIVE range AS MATERIALIZED (
        SELECT *
          FROM unnest($1::text[]::xid8[], $2::uuid[], $3::text[]::xid8[])
               WITH ORDINALITY AS given (after_xid, after_tenant, last, number)
    ), {places("webhook_event_inbox", most="$4")}
    SELECT number::int, xid::text, tenant_id,
           ARRAY(SELECT event_id
                   FROM webhook_event_inbox
                  WHERE xid = key.xid AND tenant_id = key.tenant_id
                    AND (leased_until IS NULL OR leased_until < now())
                  ORDER BY event_id
                  LIMIT $5) AS events
      FROM key
     ORDER BY number, key.xid, tenant_id
"""  # noqa: S608  made of constants only
FIRST_EVENTS = 32  # that are found with their place


async def find_places(
    db: Connection, ranges: Sequence[XidRange], *, keys: int
) -> list[tuple[int, FoundEvents]]:
    """
    Find up to `keys` places in each range at which events lie, leased or not, in order.

    With each come its first events that are not leased. Transactions that were rolled back are read
    like others: a dump that was restored may have brought rows with their numbers.
    """
    *places, _ = _columns_of(ranges)
    rows = await db.fetch(FIND_PLACES, *places, keys, FIRST_EVENTS)
    return [
        (
            row["number"] - 1,
            _found(InboxKey(int(row["xid"]), row["tenant_id"]), row["events"], most=FIRST_EVENTS),
        )
        for row in rows
    ]


FIND_EVENTS = """
    SELECT event_id
      FROM webhook_event_inbox
     WHERE xid = $1::text::xid8 AND tenant_id = $2 AND event_id >= $3
       AND (leased_until IS NULL OR leased_until < now())
     ORDER BY event_id
     LIMIT $4
"""
MORE_EVENTS = 500


async def find_events(db: Connection, where: Continuation) -> FoundEvents:
    """Find the next events at a place that are not leased."""
    key = where.key
    rows = await db.fetch(FIND_EVENTS, str(key.xid), key.tenant_id, where.after_event, MORE_EVENTS)
    return _found(key, [row["event_id"] for row in rows], most=MORE_EVENTS)


def _found(key: InboxKey, events: Sequence[EventId], *, most: int) -> FoundEvents:
    # An event has a row for each webhook where it is for some only.
    return FoundEvents(key, tuple(dict.fromkeys(events)), more=len(events) >= most)


def _columns_of(ranges: Sequence[XidRange]) -> list[tuple[object, ...]]:
    return columns(
        [(str(r.after.xid), r.after.tenant_id, str(r.last), r.is_single) for r in ranges]
    )


CURRENT_SNAPSHOT = f"SELECT pg_catalog.pg_current_snapshot()::text AS snapshot, {SERVER}"


async def current_snapshot(db: Connection) -> Snapshot:
    """Return which transactions are running."""
    return _snapshot_of(await db.fetchrow(CURRENT_SNAPSHOT))


def _snapshot_of(row: Mapping[str, Any]) -> Snapshot:
    return Snapshot.parse(row["snapshot"], server=server_of(row))
