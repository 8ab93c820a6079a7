"""
Scopes of webhooks: set, and what of tenants' requests they hide.

The rules: a tenant's token finds nothing of an operator's webhook, as if it did not exist. The
application may write any scope, so that `operator` has an effect only with a mark in a table that
the application cannot write.
"""

from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.operational_events import WebhookScope
from daemon.store.session import Connection

SET_SCOPE = "UPDATE webhooks SET scope = $2::text WHERE id = $1 AND scope::text <> $2::text"


REMOVE_MARK = "DELETE FROM webhook_operator_scopes WHERE webhook_id = $1"
WRITE_MARK = "INSERT INTO webhook_operator_scopes (webhook_id, made_by) VALUES ($1, $2)"


async def set_scope(
    db: Connection, webhook_id: WebhookId, scope: WebhookScope, *, made_by: str
) -> None:
    """
    Set the scope of a webhook that this transaction has inserted or locked, and its mark.

    `made_by` is the name of the caller, who is an operator if the scope is theirs.
    """
    await db.execute(SET_SCOPE, webhook_id, scope.value)
    await db.execute(REMOVE_MARK, webhook_id)
    if scope is WebhookScope.OPERATOR:
        await db.execute(WRITE_MARK, webhook_id, made_by)


OF_WEBHOOK = """
    SELECT EXISTS (SELECT FROM webhooks
                    WHERE id = $1 AND tenant_id = $2 AND scope::text = 'operator')
"""
OF_DELIVERY = """
    SELECT EXISTS (SELECT
                     FROM webhook_deliveries AS d
                     JOIN webhooks AS w ON w.id = d.webhook_id AND w.scope::text = 'operator'
                    WHERE d.id = $1 AND w.tenant_id = $2)
"""
OF_REPLAY = """
    SELECT EXISTS (SELECT
                     FROM webhook_replays AS r
                     JOIN webhooks AS w ON w.id = r.webhook_id AND w.scope::text = 'operator'
                    WHERE r.id = $1 AND w.tenant_id = $2)
"""
BY_KIND = {"webhook": OF_WEBHOOK, "delivery": OF_DELIVERY, "replay": OF_REPLAY}


async def is_of_operator(db: Connection, tenant_id: TenantId, kind: str, object_id: UUID) -> bool:
    """
    Whether an object is an operator's webhook in this tenant, or belongs to one.

    `kind` is as the API names objects; those of other kinds do not.
    """
    query = BY_KIND.get(kind)
    return query is not None and bool(await db.fetchval(query, object_id, tenant_id))
