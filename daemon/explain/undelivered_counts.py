"""
Counts of undelivered events, made step by step in the background.

A count may have to look at a million events. Each step looks at some hundred, then the loop rests
for as long. Counts take turns, and a tenant has few at a time. One that is no longer asked for
is given up; the result of one that is complete is kept for a minute.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import timedelta

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.model.cursor import FIRST_ID, Cursor
from daemon.core.model.explanations import ExplainedWebhook
from daemon.core.model.ids import TenantId
from daemon.core.model.undelivered import UndeliveredQuestion
from daemon.explain import undelivered
from daemon.store import explained_events
from daemon.store.database import Database

IDLE_SECONDS = 5.0
LONGEST_REST_SECONDS = 1.0
KEPT_SECONDS = 60.0
MOST_COUNTS = 200
MOST_OF_TENANT = 5


@dataclass(frozen=True, slots=True)
class UndeliveredCount:
    """How many events were found so far; `before` is where it goes on, None if it is complete."""

    total: int = 0
    unknown: int = 0
    before: Cursor | None = field(default_factory=Cursor)

    @property
    def is_complete(self) -> bool:
        """Whether the whole range was counted."""
        return self.before is None


@dataclass(slots=True)
class _Job:
    question: UndeliveredQuestion
    webhook: ExplainedWebhook  # as it was when the count began
    count: UndeliveredCount
    kept_from: float  # the last time that it was asked for while it was counted, or when that ended


class UndeliveredCounts:
    """The loop, and what it has counted; `deliveries` and `events` are the ages at which expire."""

    name = "undelivered_counts"

    def __init__(self, database: Database, *, deliveries: timedelta, events: timedelta) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._deliveries = deliveries
        self._events = events
        self._jobs: OrderedDict[object, _Job] = OrderedDict()  # the next one to go on comes first

    def count_of(
        self, question: UndeliveredQuestion, webhook: ExplainedWebhook, *, asked: object
    ) -> UndeliveredCount:
        """
        Return how far the count of a question has come; begin it if there is none.

        `asked` is the time range as the caller gave it: one that ends now is the same each time.
        """
        now = time.monotonic()
        self._forget_old(now)
        key = (question.tenant_id, question.webhook_id, asked, *_subscription(webhook))
        job = self._jobs.get(key)
        if job is None:
            self._make_room(question.tenant_id)
            # A count needs the present version only; all of them may be large.
            job = self._jobs[key] = _Job(
                question,
                replace(webhook, versions=(webhook.latest,)),
                UndeliveredCount(before=Cursor(question.until, FIRST_ID)),
                now,
            )
            self.wake.set()
        elif not job.count.is_complete:
            job.kept_from = now
        return job.count

    async def run_once(self) -> float:
        """Make one step of one count; returns the seconds to rest."""
        began = time.monotonic()
        found = next(((k, j) for k, j in self._jobs.items() if not j.count.is_complete), None)
        if found is None:
            return IDLE_SECONDS
        key, job = found
        self._jobs.move_to_end(key)
        try:
            job.count = await self._next(job)
        except STATEMENT_FAILURES:  # one tenant's row stops no other tenant's count
            self._jobs.pop(key, None)
            raise
        now = time.monotonic()
        if job.count.is_complete:
            job.kept_from = now
        return min(LONGEST_REST_SECONDS, now - began)

    async def _next(self, job: _Job) -> UndeliveredCount:
        count = job.count
        assert count.before is not None
        async with self._database.connection() as db:
            kept = await explained_events.kept(db, deliveries=self._deliveries, events=self._events)
        step = await undelivered.read_step(
            self._database.connection, job.question, job.webhook, kept, before=count.before
        )
        return UndeliveredCount(
            count.total + len(step.missed), count.unknown + step.unknown, step.end
        )

    def _make_room(self, tenant_id: TenantId) -> None:
        ours = [key for key, job in self._jobs.items() if job.question.tenant_id == tenant_id]
        if len(ours) >= MOST_OF_TENANT:
            del self._jobs[min(ours, key=lambda each: self._jobs[each].kept_from)]
        elif len(self._jobs) >= MOST_COUNTS:
            del self._jobs[min(self._jobs, key=lambda each: self._jobs[each].kept_from)]

    def _forget_old(self, now: float) -> None:
        for key in [k for k, job in self._jobs.items() if now - job.kept_from > KEPT_SECONDS]:
            del self._jobs[key]


def _subscription(webhook: ExplainedWebhook) -> tuple[object, ...]:
    # As text: the application may have stored an array of arrays, whose lists are no keys.
    return repr(webhook.latest.event_types), webhook.latest.event_filters
