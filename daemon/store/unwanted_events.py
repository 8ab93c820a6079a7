"""
Events of tenants without any webhook leave the inbox in sets.

They match nothing, and cost no turn: thousands of tenants are looked up, and what waits of them is
removed, by one statement.
"""

from collections.abc import Mapping, Sequence

from daemon.core.model.ids import EventId, TenantId
from daemon.core.model.value import value
from daemon.core.scheduling.inbox_turns import Continuation, InboxKey
from daemon.store.columns import columns
from daemon.store.measuring import counting, pages_since, read_pages
from daemon.store.session import Connection

MOST_UNWANTED = 5000  # rows that one statement removes
# Zeros are no tenant: an older daemon puts events back without theirs.
NO_TENANT = "'00000000-0000-0000-0000-000000000000'::uuid"


def unwanted(places: str, *, rows: str) -> str:
    """
    SQL: `probed`, `idle` and `unwanted`, the rows removed; `rows` finds those of a `place`.

    `earliest` has the tenants, and since when events of them may have waited.
    """
    return f"""
    probed AS MATERIALIZED (
        -- LIMIT keeps both probes within a tenant: a join might read all tenants' webhooks.
        SELECT earliest.tenant_id, active.found IS NULL AND paused.found IS NULL AS is_idle,
               {pages_since("began.before")} AS pages
          FROM earliest
         CROSS JOIN LATERAL ({counting("earliest.tenant_id")}) AS began
          LEFT JOIN LATERAL (
                SELECT true AS found
                  FROM webhooks
                 WHERE tenant_id = began.id AND is_active
                 LIMIT 1) AS active ON true
          -- Paused since the events came: first attempts may have been interrupted.
          LEFT JOIN LATERAL (
                SELECT true AS found
                  FROM webhooks
                 WHERE tenant_id = began.id AND NOT is_active
                   AND paused_at > earliest.since AND active.found IS NULL
                 LIMIT 1) AS paused ON true
    ), idle AS MATERIALIZED (
        SELECT tenant_id FROM probed WHERE is_idle
    ), unwanted AS (
        -- Their events match no webhook, and leave the inbox without a turn.
        DELETE FROM webhook_event_inbox
         WHERE ctid = ANY (ARRAY(
                SELECT found.row
                  FROM {places} AS place
                 CROSS JOIN LATERAL ({rows}) AS found
                 -- IS TRUE: hashed, and no join that compares each place with each tenant.
                 WHERE (place.tenant_id IN (SELECT tenant_id FROM idle)) IS TRUE
                 LIMIT {MOST_UNWANTED}))
     RETURNING xid, tenant_id, event_id
    )"""  # noqa: S608  made of constants only


REMOVE = f"""
    WITH given AS MATERIALIZED (
        SELECT *
          FROM unnest($1::text[]::xid8[], $2::uuid[], $3::uuid[])
               AS place (xid, tenant_id, after_event)
    ), earliest AS MATERIALIZED (
        -- Of each place: a dump that was restored may have brought numbers in any order. That a
        -- transaction is longer than an hour is not expected.
        SELECT place.tenant_id,
               min(coalesce(event.arrived_at - interval '1 hour', '-infinity')) AS since
          FROM given AS place
         CROSS JOIN LATERAL (
                SELECT arrived_at
                  FROM webhook_event_inbox
                 WHERE xid = place.xid AND tenant_id = place.tenant_id
                   AND event_id >= place.after_event
                 ORDER BY event_id
                 LIMIT 1) AS event
         WHERE place.tenant_id <> {NO_TENANT} AND NOT place.tenant_id = ANY ($4::uuid[])
         GROUP BY place.tenant_id
    ), {
    unwanted(
        "given",
        rows=f'''
                SELECT ctid AS row
                  FROM webhook_event_inbox
                 WHERE xid = place.xid AND tenant_id = place.tenant_id
                   AND event_id >= place.after_event
                   AND (leased_until IS NULL OR leased_until < now())
                 ORDER BY event_id
                 LIMIT {MOST_UNWANTED}
                   FOR UPDATE SKIP LOCKED''',
    )
}
    , last AS (
        SELECT DISTINCT ON (xid, tenant_id) xid::text AS xid_text, tenant_id, event_id
          FROM unwanted
         ORDER BY unwanted.xid, tenant_id, event_id DESC
    )
    SELECT (SELECT pg_catalog.count(*) FROM unwanted) AS removed,
           ARRAY(SELECT tenant_id FROM idle) AS idle,
           ARRAY(SELECT xid_text FROM last ORDER BY xid_text, tenant_id) AS xids,
           ARRAY(SELECT tenant_id FROM last ORDER BY xid_text, tenant_id) AS tenants,
           ARRAY(SELECT event_id FROM last ORDER BY xid_text, tenant_id) AS events,
           {read_pages("probed")}
"""  # noqa: S608  made of constants only


@value(frozen=True, slots=True)
class Removed:
    """
    What was removed: of tenants that are `idle`, which have no active webhook.

    `left` says where more of them may wait. `pages` is how many pages of webhooks were read to
    find those of each tenant.
    """

    idle: set[TenantId]
    left: list[Continuation]
    pages: Mapping[TenantId, int]


async def remove(
    db: Connection, places: Sequence[Continuation], *, slow: Sequence[TenantId]
) -> Removed:
    """
    Remove the events at these places of tenants without webhooks, except of `slow` ones.

    At most MOST_UNWANTED; what is leased, or locked, stays.
    """
    rows = [(str(each.key.xid), each.key.tenant_id, each.after_event) for each in places]
    row = await db.fetchrow(REMOVE, *columns(rows), slow)
    idle = {TenantId(each) for each in row["idle"]}
    found = zip(row["xids"], row["tenants"], row["events"], strict=True)
    last = {InboxKey(int(xid), TenantId(tenant)): EventId(event) for xid, tenant, event in found}
    return Removed(
        idle=idle,
        left=[
            Continuation(each.key, last.get(each.key, each.after_event))
            for each in places
            if each.key.tenant_id in idle
        ]
        if row["removed"] >= MOST_UNWANTED
        else [],
        pages={
            TenantId(tenant): pages
            for tenant, pages in zip(row["read_tenants"], row["read_pages"], strict=True)
        },
    )
