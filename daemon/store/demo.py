"""
The statements of `webhookd demo` beside those of the daemon: notices, totals.

They read whole tables, and are meant for the demo's few hundred rows only.
"""

from dataclasses import dataclass

from daemon.core.model.ids import NoticeId, WebhookId
from daemon.core.model.notices import NoticeKind
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class HealthNotice:
    """A stored notice of an endpoint's transition; `failures` is the number in a row."""

    id: NoticeId
    webhook_id: WebhookId
    kind: NoticeKind
    failures: int


NOTICES_AFTER = """
    SELECT id, webhook_id, kind, (data ->> 'consecutiveFailures'::text)::int AS failures
      FROM webhook_notices
     WHERE id > $1
     ORDER BY id
"""


async def notices_after(db: Connection, last: NoticeId) -> list[HealthNotice]:
    """Return the notices written after the one with id `last`, oldest first."""
    return [
        HealthNotice(
            NoticeId(row["id"]),
            WebhookId(row["webhook_id"]),
            NoticeKind(row["kind"]),
            row["failures"],
        )
        for row in await db.fetch(NOTICES_AFTER, last)
    ]


@dataclass(frozen=True, slots=True)
class Totals:
    """All rows, counted; a delivery is one event for one webhook, an attempt one finished row."""

    events: int
    event_types: int
    deliveries: int
    attempts: int
    succeeded_at_once: int
    succeeded_later: int
    pending: int

    @property
    def exhausted(self) -> int:
        """Deliveries that neither succeeded nor wait for a retry."""
        return self.deliveries - self.succeeded_at_once - self.succeeded_later - self.pending


TOTALS = """
    SELECT (SELECT count(*) FROM webhook_events) AS events,
           (SELECT pg_catalog.count(DISTINCT event_type) FROM webhook_events) AS event_types,
           pg_catalog.count(DISTINCT (webhook_id, event_id)) AS deliveries,
           count(*) FILTER (WHERE status::text <> 'pending_retry') AS attempts,
           count(*) FILTER (WHERE status::text = 'success' AND attempt_number = 1)
               AS succeeded_at_once,
           count(*) FILTER (WHERE status::text = 'success' AND attempt_number > 1)
               AS succeeded_later,
           count(*) FILTER (WHERE status::text = 'pending_retry') AS pending
      FROM webhook_deliveries
"""


async def count_totals(db: Connection) -> Totals:
    """Count events, deliveries and attempts."""
    return Totals(**dict(await db.fetchrow(TOTALS)))
