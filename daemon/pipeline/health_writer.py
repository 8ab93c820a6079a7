"""
Writes the health of endpoints with a batch of results: every change, and now and then a success.

The last success of a healthy endpoint is written once in ten seconds: each makes a version of the
row that every statement of a delivery looks up, and a transaction that stays open all night keeps
them all. What is not written at once follows, with a change or within these ten seconds.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from math import inf

from daemon.core.errors import DatabaseUnavailableError, StatementError
from daemon.core.model.attempts import AttemptResult
from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import WebhookId
from daemon.store import endpoint_health
from daemon.store.database import Database
from daemon.store.session import Connection

LAST_SUCCESS_SECONDS = 10.0
AT_ONCE = 500  # late ones that one statement writes
NOW = timedelta(0)


@dataclass(slots=True)
class Unwritten:
    """Successes that are not written: when the first of them was stored, and the last."""

    first: float
    last: float


class HealthWriter:
    """Remembers of which webhooks the last success was written, and of which it is to be."""

    def __init__(self) -> None:
        # Both in the order of time, so that what is over is found at their beginning.
        self._written_at: dict[WebhookId, float] = {}
        self._unwritten: dict[WebhookId, Unwritten] = {}

    async def write(
        self, db: Connection, changes: Sequence[HealthChange], before: Mapping[WebhookId, Health]
    ) -> set[WebhookId]:
        """
        Write what changed since `before`, which `endpoint_health.lock_health` returned.

        Returns the webhooks of which the last success is written, once the caller's transaction is
        committed: call `stored` then.
        """
        changed = [
            each for each in changes if each.failed or each.health != before[each.webhook_id]
        ]
        unchanged = {each.webhook_id for each in changes} - {each.webhook_id for each in changed}
        written = {each.webhook_id for each in changed}
        if changed:
            await endpoint_health.change_health(db, changed, earlier=self._ages(written))
        if due := [each for each in unchanged if self.is_success_due(each)]:
            written |= await endpoint_health.note_success(db, dict.fromkeys(due, NOW))
        return written

    def is_success_due(self, webhook_id: WebhookId) -> bool:
        """Whether a success now is to be written at once."""
        elapsed = time.monotonic() - self._written_at.get(webhook_id, -inf)
        return elapsed >= LAST_SUCCESS_SECONDS

    def stored(
        self, succeeded: Iterable[WebhookId], *, written: Collection[WebhookId], at: float
    ) -> None:
        """Note a committed transaction with successes, which began at about this time."""
        for webhook_id in written:
            self._unwritten.pop(webhook_id, None)
            self._note_written(webhook_id, at)
        for webhook_id in succeeded:
            if webhook_id not in written:
                self._unwritten.setdefault(webhook_id, Unwritten(at, at)).last = at
        self._forget_written()

    def late_in(self) -> float:
        """After how many seconds `write_late` has something to do; infinite if nothing waits."""
        if not self._unwritten:
            return inf
        oldest = next(iter(self._unwritten.values())).first
        return max(0.0, oldest + LAST_SUCCESS_SECONDS - time.monotonic())

    async def write_late(self, database: Database, *, everything: bool = False) -> None:
        """Write the successes, some of them at least, that have waited for long; or all."""
        while late := self._take_late(everything=everything):
            try:
                async with database.connection() as db:
                    written = await endpoint_health.note_success(db, _ages(late))
                    rest = await endpoint_health.existing(db, late.keys() - written)
            except (DatabaseUnavailableError, StatementError):
                written, rest = set(), set(late)
            now = time.monotonic()
            for webhook_id in written:
                self._note_written(webhook_id, now)
            for webhook_id in rest:  # locked by others
                self._unwritten.setdefault(webhook_id, Unwritten(now, late[webhook_id].last))
            if rest or not everything:
                return

    def _take_late(self, *, everything: bool) -> dict[WebhookId, Unwritten]:
        """Some of the unwritten ones, which are not among them from now on."""
        before = inf if everything else time.monotonic() - LAST_SUCCESS_SECONDS
        first = list(islice(self._unwritten.items(), AT_ONCE))
        late = {webhook_id: each for webhook_id, each in first if each.first <= before}
        for webhook_id in late:
            del self._unwritten[webhook_id]
        return late

    def _ages(self, webhook_ids: Iterable[WebhookId]) -> dict[WebhookId, timedelta]:
        """How long ago the last success was stored of those of which it is not written."""
        return _ages({each: u for each in webhook_ids if (u := self._unwritten.get(each))})

    def _note_written(self, webhook_id: WebhookId, at: float) -> None:
        self._written_at.pop(webhook_id, None)  # to the end
        self._written_at[webhook_id] = at

    def _forget_written(self) -> None:
        """Forget those whose next success is due."""
        before = time.monotonic() - LAST_SUCCESS_SECONDS
        while self._written_at:
            webhook_id = next(iter(self._written_at))
            if self._written_at[webhook_id] > before:
                return
            del self._written_at[webhook_id]


def _ages(unwritten: Mapping[WebhookId, Unwritten]) -> dict[WebhookId, timedelta]:
    now = time.monotonic()
    return {each: timedelta(seconds=now - waiting.last) for each, waiting in unwritten.items()}


async def webhooks_locked_by_others(
    db: Connection, batch: Sequence[AttemptResult], health: Mapping[WebhookId, Health]
) -> Collection[WebhookId]:
    """
    The webhooks of these results that another transaction holds; `health` are those that we lock.

    A webhook that is gone holds nothing up: its deliveries went with it.
    """
    missing = {r.claim.webhook_id for r in batch} - health.keys()
    return await endpoint_health.existing(db, missing)
