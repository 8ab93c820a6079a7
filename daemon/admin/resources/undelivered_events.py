"""Undelivered events of a webhook: a page of them, and how many there are."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import not_found
from daemon.admin.resources.cursor import next_cursor, page_start
from daemon.admin.views.explanations import undelivered_response
from daemon.core.model.cursor import FIRST_ID, Cursor
from daemon.core.model.explanations import ExplainedWebhook, Kept
from daemon.core.model.ids import WebhookId
from daemon.core.model.undelivered import ProbedEvent, UndeliveredEvent, UndeliveredQuestion
from daemon.explain.explainer import Explainer
from daemon.explain.undelivered import explain_missed, read_step
from daemon.explain.undelivered_counts import UndeliveredCounts
from daemon.store import stored_events, webhook_history
from daemon.store.database import Database

DEFAULT_RANGE = timedelta(days=1)
EARLIEST = datetime.min.replace(tzinfo=UTC)
MOST_SECONDS = 0.06  # beyond it, no further step is begun for one page


@dataclass(frozen=True, slots=True)
class UndeliveredEvents:
    """Lists and counts undelivered events."""

    database: Database
    explainer: Explainer
    counts: UndeliveredCounts

    @operation(
        "GET /api/webhooks/{id}/undelivered",
        operation_id="listUndeliveredEvents",
        tag="Events",
        summary="List the undelivered events of a webhook",
        description=(
            "The events of a time range that the webhook wants as it is set up now, or that were"
            " attempted, of which no attempt succeeded and none is pending: those of pauses, of"
            " filters that were corrected later, and exhausted ones. A replay with"
            " `onlyUndelivered` sends them. Newest first. A daemon counts them in the background,"
            " and the response says how far it has come."
        ),
        query=schemas.UndeliveredQuery,
        responses={200: ("A page of undelivered events.", schemas.UndeliveredEvents)},
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook or `before`."""
        query: schemas.UndeliveredQuery = request.query
        async with self.database.connection() as db:
            webhook = await webhook_history.get(db, request.tenant_id, WebhookId(request.id))
            if webhook is None or webhook.latest.deleted:
                raise not_found("webhook")
            kept = await self.explainer.kept(db)
            before = await page_start(
                query.before,
                partial(stored_events.cursor_of, db, request.tenant_id),
                absent="before: this tenant has no event with this id",
            )
        since, until = _range(query, kept.now)
        question = UndeliveredQuestion(request.tenant_id, webhook.id, since, until)
        count = self.counts.count_of(question, webhook, asked=(query.from_, query.to))
        start = min(before, Cursor(until, FIRST_ID), key=lambda each: (each.at, each.id))
        events, end = await self._page(question, webhook, kept, start, query.limit)
        shown = schemas.UndeliveredEvents(
            from_=since,
            to=until,
            events=[undelivered_response(each) for each in events],
            next=next_cursor(end),
            looked_up_to=None if end is None else end.at,
            total=count.total,
            unknown=count.unknown,
            complete=count.is_complete,
            counted_up_to=None if count.before is None else count.before.at,
        )
        return ApiResponse(200, shown)

    async def _page(
        self,
        question: UndeliveredQuestion,
        webhook: ExplainedWebhook,
        kept: Kept,
        start: Cursor,
        limit: int,
    ) -> tuple[list[UndeliveredEvent], Cursor | None]:
        """The next events, and where they end: after `limit` of them, or when time is up."""
        ends, connect = time.monotonic() + MOST_SECONDS, self.database.connection
        found: list[ProbedEvent] = []
        before: Cursor | None = start
        while before is not None and len(found) < limit and time.monotonic() < ends:
            step = await read_step(connect, question, webhook, kept, before=before)
            found += step.missed
            before = step.end
        if len(found) > limit:
            last = found[limit - 1]
            before = Cursor(last.created_at, last.event.id)
        events = [await explain_missed(connect, webhook, kept, each) for each in found[:limit]]
        return events, before


def _range(query: schemas.UndeliveredQuery, now: datetime) -> tuple[datetime, datetime]:
    until = now if query.to is None else query.to
    if query.from_ is not None:
        return query.from_, until
    return max(until, EARLIEST + DEFAULT_RANGE) - DEFAULT_RANGE, until
