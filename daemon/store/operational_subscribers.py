"""
The webhooks that may get a tenant's operational events: its own, and those of operators.

The rule: a webhook is an operator's by its mark, which the application cannot write.
"""

from daemon.core.model.events import Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.session import Connection
from daemon.store.subscriptions import subscriptions_of
from daemon.store.webhook_columns import event_types, filter_error, filters_text

COLUMNS = f"""
    SELECT w.id, w.tenant_id, w.is_active, {filter_error("w")}, {event_types("w")},
           {filters_text("w")}
      FROM webhooks AS w"""  # noqa: S608  made of constants only
FIND_PAGE = f"""
    -- Each part has its index, and ends by itself.
    WITH page AS MATERIALIZED (
        (SELECT webhook.id
           FROM webhook_operator_scopes AS mark
          CROSS JOIN LATERAL (
                 SELECT id FROM webhooks
                  WHERE id = mark.webhook_id AND scope::text = 'operator' AND is_active
                  LIMIT 1) AS webhook
          WHERE mark.webhook_id > $2
          ORDER BY mark.webhook_id
          LIMIT $3)
        UNION ALL
        (SELECT id FROM webhooks
          WHERE tenant_id = $1 AND scope::text = 'account' AND is_active AND id > $2
          ORDER BY id
          LIMIT $3)
    )
    {COLUMNS}
     WHERE w.id = ANY (ARRAY(SELECT id FROM page ORDER BY id LIMIT $3))
     ORDER BY w.id
"""  # noqa: S608  made of constants only
NIL = "00000000-0000-0000-0000-000000000000"


async def page(
    db: Connection, tenant_id: TenantId, *, after: WebhookId | None, limit: int
) -> list[Subscription]:
    """Return the next subscriptions by webhook id, those of paused webhooks left out."""
    rows = await db.fetch(FIND_PAGE, tenant_id, after or NIL, limit)
    return subscriptions_of(rows)


FIND_ONE = f"""
    {COLUMNS}
     WHERE w.id = $2 AND w.is_active
       AND (w.scope::text = 'account' AND w.tenant_id = $1
            OR w.scope::text = 'operator'
               AND EXISTS (SELECT FROM webhook_operator_scopes WHERE webhook_id = w.id))
"""


async def one(db: Connection, tenant_id: TenantId, webhook_id: WebhookId) -> list[Subscription]:
    """Return the subscription of one webhook, if it may still get the tenant's events."""
    return subscriptions_of(await db.fetch(FIND_ONE, tenant_id, webhook_id))
