"""
The webhooks of all tenants that are failing now, and why.

The rule: the list reads a bounded number of rows, whatever the tables hold.
"""

from daemon.core.model.failing_webhooks import FailingWebhook
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.bounded_texts import LONGEST_SENTENCE, bounded
from daemon.store.session import Connection
from daemon.store.tenant_overview import IN_TROUBLE

MOST_FAILING = 20_000  # that are put in order
MOST_ATTEMPTS = 20  # of one webhook, among which the last failed one is looked for
LONGEST_NAME = 255

FIND_NEWEST = f"""
    WITH failing AS MATERIALIZED (
        SELECT id, failing_since
          FROM webhooks
         WHERE {IN_TROUBLE} AND is_active
         LIMIT {MOST_FAILING}
    ), newest AS MATERIALIZED (
        SELECT id FROM failing ORDER BY failing_since DESC NULLS LAST, id LIMIT $1
    )
    SELECT w.id, w.tenant_id, pg_catalog.left(w.name::text, {LONGEST_NAME}) AS name,
           pg_catalog.left(w.endpoint_url::text, {LONGEST_URL}) AS endpoint_url,
           w.consecutive_failures, w.failing_since,
           last.attempted_at AS last_failed_at, last.status_code, last.error
      FROM newest
      JOIN webhooks AS w ON w.id = newest.id
      LEFT JOIN LATERAL (
            SELECT attempted_at, status_code, error
              FROM (SELECT attempted_at, status_code, status::text AS status,
                           {bounded("error_message", LONGEST_SENTENCE)} AS error
                      FROM webhook_deliveries
                     WHERE webhook_id = newest.id
                       -- The application may write any time.
                       AND attempted_at BETWEEN '0001-01-02' AND now()
                     ORDER BY attempted_at DESC, id DESC
                     LIMIT {MOST_ATTEMPTS}) AS few
             WHERE status = 'failed'
             ORDER BY attempted_at DESC
             LIMIT 1) AS last ON true
     ORDER BY w.failing_since DESC NULLS LAST, w.id
"""  # noqa: S608  made of constants only


async def newest(db: Connection, *, limit: int) -> list[FailingWebhook]:
    """Return the webhooks that began to fail last, the newest first."""
    return [FailingWebhook(**row) for row in await db.fetch(FIND_NEWEST, limit)]
