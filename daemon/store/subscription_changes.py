"""
Subscriptions that changed between two snapshots, where a scan of the inbox found too many to name.

The rule: of a tenant with many changes all subscriptions count as changed, and of others only those
that did. What it reads grows with the transactions and tenants, not with a tenant's changes.
"""

from collections.abc import Sequence
from typing import TypeAlias

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.inbox_scan import Snapshot, newly_visible
from daemon.store.columns import columns
from daemon.store.loose_scan import places
from daemon.store.session import Connection

# A webhook that changed, or None for all of its tenant.
Change: TypeAlias = tuple[TenantId, WebhookId | None]

FIND_CHANGES = f"""
    WITH RECURSIVE range AS MATERIALIZED (
        SELECT *
          FROM unnest($1::text[]::xid8[], $2::uuid[], $3::text[]::xid8[])
               WITH ORDINALITY AS given (after_xid, after_tenant, last, number)
    ), {places("webhook_subscription_changes", most="$4")}, place AS MATERIALIZED (
        SELECT xid, tenant_id FROM key LIMIT $4
    ), ordered AS MATERIALIZED (
        -- The first of each tenant comes before the second of any: no tenant's many transactions
        -- keep those of others from being read.
        SELECT xid, tenant_id, row_number() OVER (ORDER BY nth, xid, tenant_id) AS number
          FROM (SELECT xid, tenant_id,
                       row_number() OVER (PARTITION BY tenant_id ORDER BY xid) AS nth
                  FROM place) AS each
         ORDER BY number
    ), named AS MATERIALIZED (
        SELECT place.number, place.tenant_id, found.webhook_id
          FROM ordered AS place
         CROSS JOIN LATERAL (
                SELECT webhook_id
                  FROM webhook_subscription_changes
                 WHERE xid = place.xid AND tenant_id = place.tenant_id
                 LIMIT $5) AS found
         LIMIT $6
    )
    SELECT (SELECT count(*) FROM place) AS places,
           ARRAY(SELECT DISTINCT tenant_id
                   FROM ordered
                  -- Hashed, whatever the plan. Other places have more rows, or were not read.
                  WHERE number NOT IN (SELECT number
                                         FROM named
                                        GROUP BY number
                                       HAVING count(*) < $5)) AS whole,
           ARRAY(SELECT tenant_id FROM named) AS tenants,
           ARRAY(SELECT webhook_id FROM named) AS webhooks
"""  # noqa: S608  made of constants only

MOST_PLACES = 10_000
MOST_OF_PLACE = 200
MOST_NAMED = 4000


async def find(db: Connection, *, seen: Snapshot, now: Snapshot) -> Sequence[Change] | None:
    """
    Return what `now` shows and `seen` did not; None if it is of more tenants than can be named.

    Raises StatementTimeoutError.
    """
    ranges = newly_visible(seen, now)
    if not ranges:
        return []
    row = await db.fetchrow(
        FIND_CHANGES,
        *columns([(str(each.after.xid), each.after.tenant_id, str(each.last)) for each in ranges]),
        *(MOST_PLACES, MOST_OF_PLACE, MOST_NAMED),
    )
    if row["places"] >= MOST_PLACES:
        return None
    whole = set(row["whole"])
    if len(row["tenants"]) >= MOST_NAMED:
        whole.add(row["tenants"][-1])  # perhaps it has more
    named = zip(row["tenants"], row["webhooks"], strict=True)
    return [
        *((TenantId(tenant), None) for tenant in whole),
        *((TenantId(tenant), WebhookId(each)) for tenant, each in named if tenant not in whole),
    ]
