"""
Events that a webhook may not have got, found page by page from the latest to the first.

The rule: no statement reads much more than a page. Of most events one look at the webhook's
successes of that time tells that they were delivered; each of the others is looked up by itself, in
every partition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.core.model.cursor import Cursor
from daemon.core.model.explanations import ExplainedEvent
from daemon.core.model.ids import EventId, WebhookId
from daemon.core.model.undelivered import ProbedEvent, UndeliveredQuestion
from daemon.store import explained_events
from daemon.store.session import Connection

EVENTS_READ = 500
EVENTS_PROBED = 100
ATTEMPTS_READ = 5_000

LIST_EVENTS = """
    SELECT id, coalesce(event_type, '') AS event_type, created_at,
           coalesce(received_at, created_at) AS at
      FROM webhook_events
     WHERE tenant_id = $1 AND created_at <= $2 AND (created_at, id) < ($2, $3)
       AND created_at >= $4 AND created_at < $5
     ORDER BY created_at DESC, id DESC
     LIMIT $6
"""
FIND_DELIVERED = """
    SELECT DISTINCT event_id
      FROM (SELECT event_id, status
              FROM webhook_deliveries
             WHERE webhook_id = $1
               AND attempted_at >= $2 AND attempted_at < $3::timestamptz + interval '10 minutes'
             ORDER BY attempted_at, id
             LIMIT $4) AS made
     WHERE status::text = 'success'
"""
PROBE = """
    SELECT pair.id, found.is_over, found.has_failed
      FROM pg_catalog.unnest($1::uuid[]) AS pair (id)
     CROSS JOIN LATERAL (
            SELECT coalesce(bool_or(d.status::text = 'success' OR d.status::text = 'pending_retry'),
                            false) AS is_over,
                   coalesce(bool_or(d.status::text = 'failed'), false) AS has_failed
              FROM webhook_deliveries AS d
             -- A range of keys, as in `store.attempt_chains`.
             WHERE (d.event_id, d.webhook_id) >= (pair.id, $2)
               AND (d.event_id, d.webhook_id) <= (pair.id, $2)) AS found
"""


@dataclass(frozen=True, slots=True)
class ProbedPage:
    """Events that are not known to be delivered, and where the page ended; None at the end."""

    events: list[ProbedEvent]
    end: Cursor | None


async def read_page(db: Connection, question: UndeliveredQuestion, *, before: Cursor) -> ProbedPage:
    """Read the next events of a question; call after `read_in_order`."""
    rows = await db.fetch(
        LIST_EVENTS,
        *(question.tenant_id, before.at, before.id, question.since, question.until, EVENTS_READ),
    )
    if not rows:
        return ProbedPage([], None)
    delivered = await _delivered(db, question.webhook_id, [row["at"] for row in rows])
    places = [n for n, row in enumerate(rows) if row["id"] not in delivered]
    is_cut = len(places) > EVENTS_PROBED
    last = places[EVENTS_PROBED - 1] if is_cut else len(rows) - 1
    end = Cursor(rows[last]["created_at"], rows[last]["id"])
    probed = await _probe(db, question, [rows[n] for n in places if n <= last])
    return ProbedPage(probed, end if is_cut or len(rows) == EVENTS_READ else None)


async def _delivered(
    db: Connection, webhook_id: WebhookId, times: Sequence[datetime]
) -> set[EventId]:
    arguments = webhook_id, min(times), max(times), ATTEMPTS_READ
    return {row["event_id"] for row in await db.fetch(FIND_DELIVERED, *arguments)}


async def _probe(
    db: Connection, question: UndeliveredQuestion, rows: Sequence[Any]
) -> list[ProbedEvent]:
    ids = [EventId(row["id"]) for row in rows]
    # Before the attempts are read: an event leaves the inbox together with its result.
    waiting = await explained_events.waiting(db, question.tenant_id, question.webhook_id, ids)
    states = {each["id"]: each for each in await db.fetch(PROBE, ids, question.webhook_id)}
    return [
        ProbedEvent(
            event=ExplainedEvent(event_id, question.tenant_id, row["event_type"], row["at"]),
            created_at=row["created_at"],
            is_over=_is_over(states[event_id], waits=event_id in waiting),
            has_failed=states[event_id]["has_failed"],
        )
        for event_id, row in zip(ids, rows, strict=True)
    ]


def _is_over(state: Any, *, waits: bool) -> bool:
    return state["is_over"] or (waits and not state["has_failed"])
