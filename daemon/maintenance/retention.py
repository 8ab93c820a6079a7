"""
The retention loop: deletes rows older than configured, in small batches with long rests between.

It uses at most a fifth of one connection's time. One daemon at a time prunes; a daemon that finds
another one pruning leaves the round to it.
"""

import asyncio
from collections import Counter, deque
from datetime import timedelta
from functools import partial
from math import inf

import structlog

from daemon.core.errors import StatementTimeoutError
from daemon.core.outcomes.stats_range import HOURS_KEPT, MINUTES_KEPT
from daemon.core.scheduling.batch_size import BatchSize
from daemon.maintenance.pruning import OldestFirstPruner, PagedPruner, Pruner
from daemon.runtime.metrics import Metrics
from daemon.store import audit as audit_records
from daemon.store import (
    expired_deliveries,
    expired_events,
    idempotency_keys,
    operator_sessions,
    portal_links,
    retention,
    stats_folding,
    tenant_tokens,
    webhook_history,
)
from daemon.store.database import Database
from daemon.store.named_locks import LockWatch
from daemon.store.session import Connection

log = structlog.get_logger()

# Finished replays, notices, and addresses that were confirmed or asked: for as long as someone may
# want to look them up.
RECORDS_AGE = timedelta(days=90)
# Daemons have read them long since; one that has not reads all subscriptions again anyhow.
SUBSCRIPTION_CHANGES_AGE = timedelta(hours=6)
# A recipient that was not mailed for so long may be mailed at any time, with or without its row.
MAIL_WINDOWS_AGE = timedelta(days=1)
EXPIRED_STATS = (
    (partial(stats_folding.delete_expired, minutes=stats_folding.MINUTE), MINUTES_KEPT),
    (partial(stats_folding.delete_expired, minutes=stats_folding.HOUR), HOURS_KEPT),
)
REST_BETWEEN_ROUNDS = timedelta(seconds=60)
# An idle daemon sends few statements.
ROUNDS_PER_ROUND_OF_ALL = 5
# Readiness expects every loop to return within seconds.
LONGEST_REST_SECONDS = 10.0
REST_PER_WORK = 4.0
BATCH_SECONDS = 0.05
SMALLEST_BATCH, LARGEST_BATCH = 100, 500
# Where many rows were deleted and not yet vacuumed, a search could take arbitrarily long.
STATEMENT_TIMEOUT = timedelta(seconds=2)

MOST_TIMEOUTS = 4  # of one table in a round: the others have their turn, and it goes on in the next

# Another daemon prunes in short transactions, so that a lock is rarely missed twice.
LOCK_PATIENCE = timedelta(minutes=10)


class Retention:
    """
    The loop; `deliveries`, `events` and `audit` are the ages at which each expire.

    A round prunes the large tables; the first one and every fifth, all of them. Between two rounds
    the loop rests for `rest`, or for the least of the ages where that is shorter; so it does before
    the first one, because a daemon that has just started has more urgent work.
    """

    name = "retention"

    def __init__(
        self,
        database: Database,
        *,
        deliveries: timedelta,
        events: timedelta,
        audit: timedelta,
        metrics: Metrics,
        rest: timedelta = REST_BETWEEN_ROUNDS,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._metrics = metrics
        self._pruners = _pruners(deliveries=deliveries, events=events, audit=audit)
        self._remaining: deque[Pruner] = deque()  # of this round
        self._rounds = 0
        self._timeouts = 0  # of the present table's statements in this round
        self._rest_seconds = min(rest, deliveries, events, audit).total_seconds()
        self._next_round_at: float | None = None
        self._lock_watch = LockWatch(retention.LOCK, work="retention", patience=LOCK_PATIENCE)
        self._deleted: Counter[str] = Counter()
        self._batch_size = BatchSize(
            least=SMALLEST_BATCH, most=LARGEST_BATCH, seconds=BATCH_SECONDS
        )

    @property
    def resting(self) -> bool:
        """Whether one round is over and the next has not begun."""
        return not self._remaining

    async def run_once(self) -> float:
        """Prune one batch, or begin a round when it is time; returns the seconds to rest."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self.resting:
            rest = self._seconds_until_round(began)
            if rest > 0:
                return rest
            self._begin_round()
        await self._prune_batch(self._remaining[0])
        now = loop.time()
        if self.resting:
            self._end_round(now)
        return min(LONGEST_REST_SECONDS, (now - began) * REST_PER_WORK)

    def _begin_round(self) -> None:
        is_of_all = self._rounds % ROUNDS_PER_ROUND_OF_ALL == 0
        self._rounds += 1
        self._remaining.extend(p for p in self._pruners if is_of_all or isinstance(p, PagedPruner))

    def _seconds_until_round(self, now: float) -> float:
        if self._next_round_at is None:
            self._next_round_at = now + self._rest_seconds
        return min(LONGEST_REST_SECONDS, self._next_round_at - now)

    async def _prune_batch(self, pruner: Pruner) -> None:
        try:
            async with self._database.transaction(durable=False) as db:
                if not await retention.take_lock(db, statement_timeout=STATEMENT_TIMEOUT):
                    await self._lock_watch.missed(db)
                    self._remaining.clear()
                    return
                self._lock_watch.taken()
                is_last = await self._prune(db, pruner)
        except StatementTimeoutError:
            log.warning("retention.statement_timed_out", table=pruner.table)
            self._batch_size.took(inf)
            self._timeouts += 1
            is_last = pruner.is_done or self._timeouts == MOST_TIMEOUTS
        if is_last:
            self._timeouts = 0
            self._remaining.popleft()

    async def _prune(self, db: Connection, pruner: Pruner) -> bool:
        """Whether that was the last batch of the table in this round."""
        began = asyncio.get_running_loop().time()
        batch = await pruner.prune_batch(db, limit=self._batch_size.size)
        if batch.deleted is not None:
            self._batch_size.took(asyncio.get_running_loop().time() - began)
            self._deleted[pruner.table] += batch.deleted
            self._metrics.maintenance.rows_deleted[pruner.table].inc(batch.deleted)
        return batch.is_last

    def _end_round(self, now: float) -> None:
        if deleted := +self._deleted:
            log.info("rows.deleted", **deleted)
        self._deleted.clear()
        self._next_round_at = now + self._rest_seconds


def _pruners(*, deliveries: timedelta, events: timedelta, audit: timedelta) -> tuple[Pruner, ...]:
    return (
        PagedPruner(
            "deliveries",
            find=expired_deliveries.find,
            delete=partial(expired_deliveries.delete, older_than=deliveries),
            lane_behind=expired_deliveries.lane_behind,
            older_than=deliveries,
        ),
        PagedPruner(
            "events",
            find=expired_events.find,
            delete=expired_events.delete,
            lane_behind=expired_events.lane_behind,
            older_than=events,
        ),
        OldestFirstPruner("replays", retention.delete_replays, RECORDS_AGE),
        OldestFirstPruner("notices", retention.delete_notices, RECORDS_AGE),
        OldestFirstPruner("webhook_history", webhook_history.delete_expired, events),
        OldestFirstPruner("audit", audit_records.delete_expired, audit),
        OldestFirstPruner("tenant_tokens", tenant_tokens.delete_expired, timedelta(0)),
        OldestFirstPruner("portal_links", portal_links.delete_expired, timedelta(0)),
        OldestFirstPruner("operator_sessions", operator_sessions.delete_expired, timedelta(0)),
        OldestFirstPruner(
            "idempotency_keys", idempotency_keys.delete_expired, idempotency_keys.KEPT
        ),
        OldestFirstPruner(
            "subscription_changes",
            retention.delete_subscription_changes,
            SUBSCRIPTION_CHANGES_AGE,
        ),
        OldestFirstPruner("confirmations", retention.delete_confirmations, RECORDS_AGE),
        OldestFirstPruner("mail_recipients", retention.delete_mail_recipients, MAIL_WINDOWS_AGE),
        *(OldestFirstPruner("stats", delete, age) for delete, age in EXPIRED_STATS),
        OldestFirstPruner("stats_totals", stats_folding.delete_expired_totals, MINUTES_KEPT),
    )
