"""
The webhooks of a tenant in the order in which one event needs attention.

The rule: however many webhooks or attempts there are, a bounded number of rows is read.
"""

from dataclasses import dataclass

from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.session import Connection

MOST_WEBHOOKS = 5_000
MOST_ATTEMPTS = 20_000

LIST_PAGE = f"""
    -- Without a join: the planner could only nest loops.
    WITH attempts AS MATERIALIZED (
        SELECT webhook_id, status::text AS status
          FROM webhook_deliveries
         WHERE event_id = $2
         LIMIT {MOST_ATTEMPTS}
    ), named AS MATERIALIZED (
        SELECT id, name::text AS name
          FROM webhooks
         WHERE tenant_id = $1 AND ($3 OR scope::text <> 'operator')
           AND ($4::text IS NULL
                OR strpos(lower(name::text), lower($4)) > 0
                OR strpos(lower(left(endpoint_url, {LONGEST_URL})), lower($4)) > 0)
         ORDER BY id
         LIMIT {MOST_WEBHOOKS}
    ), ranked AS MATERIALIZED (
        -- 0: all attempts failed. 1: a retry is to come. 2: not attempted yet. 3: none is stored.
        SELECT each.id, max(each.name) AS name,
               CASE WHEN bool_or(each.status = 'success') THEN 4
                    WHEN bool_or(each.status = 'pending_retry')
                    THEN CASE WHEN bool_or(each.status = 'failed') THEN 1 ELSE 2 END
                    WHEN bool_or(each.status IS NOT NULL) THEN 0
                    ELSE 3 END AS rank
          FROM (SELECT id, name, NULL::text AS status FROM named
                 UNION ALL
                SELECT webhook_id, NULL, status FROM attempts) AS each
         GROUP BY each.id
        HAVING bool_or(each.name IS NOT NULL)
    )
    SELECT id, name
      FROM ranked
     WHERE $5::uuid IS NULL
        OR (rank, name, id) > (SELECT rank, name, id FROM ranked WHERE id = $5)
     ORDER BY rank, name, id
     LIMIT $6
"""  # noqa: S608  made of constants only


@dataclass(frozen=True, slots=True)
class NamedWebhook:
    """A webhook by its id, with its name."""

    id: WebhookId
    name: str


async def list_by_trouble(
    db: Connection,
    tenant_id: TenantId,
    event_id: EventId,
    *,
    after: WebhookId | None,
    limit: int,
    search: str | None = None,
    for_operators: bool = True,
) -> list[NamedWebhook]:
    """
    Return a page of a tenant's webhooks: where the event failed, is pending, has no attempt, and
    was delivered, in this order, each by name. It begins behind the webhook `after`.

    `search` is a part of the name or of the URL, in any case. Unless it is `for_operators`,
    operators' webhooks are left out.
    """
    rows = await db.fetch(LIST_PAGE, tenant_id, event_id, for_operators, search, after, limit)
    return [NamedWebhook(WebhookId(row["id"]), row["name"]) for row in rows]
