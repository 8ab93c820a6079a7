"""
Attempts counted together with their results, in one row of each transaction.

The rule: what is counted and what is stored become true together, and no lock is taken.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from daemon.core.model.attempts import AttemptResult
from daemon.core.model.ids import WebhookId
from daemon.core.outcomes.attempt_kinds import kind_position
from daemon.core.outcomes.durations import duration_bucket
from daemon.store.session import Connection

# Of `webhook_stats_batches.ended`: a kind times this, plus a bucket of duration.
KIND_FACTOR = 100
MINUTE = timedelta(minutes=1)
NEVER = datetime(1, 1, 1, tzinfo=UTC)

ADD_BATCH = """
    INSERT INTO webhook_stats_batches (minute, webhook_ids, ended, counts) VALUES ($1, $2, $3, $4)
"""
Counts = dict[tuple[WebhookId, int], int]


async def add_batch(db: Connection, results: Iterable[AttemptResult]) -> None:
    """Count the attempts that the caller's transaction stores, each in the minute it began."""
    for minute, counts in _by_minute(results).items():
        webhook_ids = [webhook_id for webhook_id, _ in counts]
        ended = [each for _, each in counts]
        await db.execute(ADD_BATCH, minute, webhook_ids, ended, list(counts.values()))


def _by_minute(results: Iterable[AttemptResult]) -> Mapping[datetime, Counts]:
    by_minute: dict[datetime, Counts] = defaultdict(dict)
    begin = end = NEVER
    counts: Counts = {}
    for result in results:
        kind = kind_position(result)
        if kind is None:
            continue
        began = result.claim.claimed_at
        if not begin <= began < end:  # attempts of one batch began in one minute, or in two
            begin = began.replace(second=0, microsecond=0)
            end, counts = begin + MINUTE, by_minute[begin]
        key = (
            result.claim.webhook_id,
            KIND_FACTOR * kind + duration_bucket(result.outcome.took_ms),
        )
        counts[key] = counts.get(key, 0) + 1
    return by_minute
