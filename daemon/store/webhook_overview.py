"""The webhooks of one tenant, or of all, with their states: what `webhookd list` shows."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.webhooks import WebhookState, state_of
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.session import Connection
from daemon.store.tenant_overview import IN_TROUBLE

NIL = UUID(int=0)
PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class ListedWebhook:
    """A webhook without its settings."""

    id: WebhookId
    tenant_id: TenantId
    name: str
    endpoint_url: str
    state: WebhookState
    paused_reason: str | None
    consecutive_failures: int
    last_success_at: datetime | None
    last_failure_at: datetime | None


LIST_PAGE = f"""
    WITH looked AS MATERIALIZED (
        -- So many rows and no more, however few of them match.
        SELECT id, tenant_id, name, left(endpoint_url, {LONGEST_URL}) AS endpoint_url, is_active,
               is_failing, left(paused_reason, 100) AS paused_reason, consecutive_failures,
               last_success_at, last_failure_at, notification_email
          FROM webhooks
         WHERE (tenant_id, id) > ($1, $2) AND ($3::uuid IS NULL OR tenant_id = $3)
         ORDER BY tenant_id, id
         LIMIT $4
    ), judged AS (
        SELECT *,
               ($5::text IS NULL
                OR $5 = CASE WHEN NOT is_active THEN 'paused' WHEN is_failing THEN 'failing'
                             ELSE 'active' END)
               AND ($6::text IS NULL
                    OR pg_catalog.strpos(lower(name::text), lower($6)) > 0
                    OR pg_catalog.strpos(lower(endpoint_url), lower($6)) > 0
                    OR lower(notification_email::text) = lower($6)) AS matches
          FROM looked
    )
    SELECT *
      FROM judged
     -- The last one, from which the next page begins, comes in any case.
     WHERE matches OR (tenant_id, id) = (
               SELECT tenant_id, id FROM looked ORDER BY tenant_id DESC, id DESC LIMIT 1)
     ORDER BY tenant_id, id
"""  # noqa: S608  made of constants only
# The predicate of an index, for the few of the other states.
LIST_TROUBLED_PAGE = LIST_PAGE.replace(" WHERE ", f" WHERE {IN_TROUBLE} AND ", 1)


async def each(
    db: Connection,
    tenant_id: TenantId | None,
    *,
    state: WebhookState | None = None,
    search: str | None = None,
) -> AsyncIterator[ListedWebhook]:
    """
    Yield the webhooks of a tenant, or by tenant all there are, read page by page.

    `search` selects those whose name or URL has this part, or that mail this address, in any case.
    """
    after = tenant_id or NIL, NIL
    is_active = state in {None, WebhookState.ACTIVE}
    query = LIST_PAGE if is_active else LIST_TROUBLED_PAGE
    while page := await db.fetch(query, *after, tenant_id, PAGE_SIZE, state, search):
        for row in page:
            if row["matches"]:
                yield _listed(row)
        after = page[-1]["tenant_id"], page[-1]["id"]


def _listed(row: asyncpg.Record) -> ListedWebhook:
    return ListedWebhook(
        id=WebhookId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        name=row["name"],
        endpoint_url=row["endpoint_url"],
        state=state_of(is_active=row["is_active"], is_failing=row["is_failing"]),
        paused_reason=row["paused_reason"],
        consecutive_failures=row["consecutive_failures"],
        last_success_at=row["last_success_at"],
        last_failure_at=row["last_failure_at"],
    )
