"""
Stats of webhooks: what is folded by minutes and hours, and what is not folded yet.

Every query reads a bounded number of rows, however many attempts they count. The caller has checked
the webhook's tenant.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.ids import WebhookId
from daemon.core.model.stats import CountedStats, StatsCounts, StatsRange
from daemon.core.outcomes.attempt_kinds import KINDS
from daemon.core.outcomes.durations import BOUNDS_MS
from daemon.store.session import Connection

# Batches that are not folded yet; usually those of some seconds.
MOST_BATCHES_READ = 20_000

POINT = """pg_catalog.floor(pg_catalog.date_part('epoch', {at} - $3)
                           / pg_catalog.date_part('epoch', $5::interval))::int"""

# One statement, one snapshot: each batch is either folded or not.
COUNT = f"""
    WITH progress AS MATERIALIZED (
        SELECT counted_up_to FROM webhook_stats_progress
    ), batch AS MATERIALIZED (
        SELECT minute, webhook_ids, ended, counts
          FROM webhook_stats_batches
         WHERE id > coalesce((SELECT counted_up_to FROM progress), 0)
         ORDER BY id
         LIMIT $6
    ), entry AS MATERIALIZED (
        SELECT each.webhook_id, {POINT.format(at="batch.minute")} AS point, each.ended, each.count
          FROM batch
         CROSS JOIN LATERAL unnest(webhook_ids, ended, counts) AS each (webhook_id, ended, count)
         WHERE batch.minute >= $3 AND batch.minute < $4 AND each.webhook_id = ANY ($1)
    ), cell AS (
        SELECT stats.webhook_id, stats.point, each.cell, each.count
          FROM pg_catalog.unnest($1::uuid[]) AS webhook (id)
         CROSS JOIN LATERAL (
                SELECT s.webhook_id, {POINT.format(at="s.begins_at")} AS point, s.cells, s.counts
                  FROM webhook_stats AS s
                 WHERE s.webhook_id = webhook.id AND s.minutes = $2::smallint
                   AND s.begins_at >= $3 AND s.begins_at < $4) AS stats
         CROSS JOIN LATERAL unnest(stats.cells, stats.counts) AS each (cell, count)
         UNION ALL
        SELECT webhook_id, point, ended / 100, count FROM entry
         UNION ALL
        SELECT webhook_id, point, 100 + ended % 100, count FROM entry
    ), total AS (
        SELECT webhook_id, CASE WHEN $7 OR cell >= 100 THEN cell ELSE least(cell, 1) END AS cell,
               CASE WHEN $7 OR cell < 100 THEN point ELSE 0 END AS point,
               pg_catalog.sum(count)::bigint AS count
          FROM cell
         GROUP BY 1, 2, 3
    )
    -- A row for each webhook: thousands of rows take the driver much longer than arrays.
    SELECT webhook_id, pg_catalog.array_agg(point) AS points, pg_catalog.array_agg(cell) AS cells,
           pg_catalog.array_agg(count) AS counts
      FROM total
     GROUP BY webhook_id
     UNION ALL
    SELECT NULL, NULL, NULL, ARRAY[pg_catalog.count(*)] FROM batch
"""  # noqa: S608  made of constants only
FIRST_BUCKET = 100  # cells below are kinds


async def count(db: Connection, webhook_id: WebhookId, covered: StatsRange) -> CountedStats:
    """Return the counts of one webhook, point by point."""
    counts, complete = await _count(db, [webhook_id], covered, detailed=True)
    return CountedStats(counts.get(webhook_id, {}), complete)


async def count_each(
    db: Connection, webhook_ids: Sequence[WebhookId], covered: StatsRange
) -> Mapping[WebhookId, Mapping[int, StatsCounts]]:
    """
    Return the counts of some webhooks by the number of the point; those without any are missing.

    Durations are not divided among the points: they all count in the first one. All that failed
    counts as the first kind of failure.
    """
    counts, _ = await _count(db, webhook_ids, covered, detailed=False)
    return counts


async def _count(
    db: Connection,
    webhook_ids: Sequence[WebhookId],
    covered: StatsRange,
    *,
    detailed: bool,
) -> tuple[dict[WebhookId, dict[int, StatsCounts]], bool]:
    rows = await db.fetch(
        COUNT,
        *(webhook_ids, covered.unit // timedelta(minutes=1), covered.since, covered.until),
        *(covered.width, MOST_BATCHES_READ, detailed),
    )
    counted = {row["webhook_id"]: row for row in rows}
    [batches] = counted.pop(None)["counts"]
    return {each: _points(row) for each, row in counted.items()}, batches < MOST_BATCHES_READ


def _points(row: Any) -> dict[int, StatsCounts]:
    kinds: dict[int, list[int]] = defaultdict(lambda: [0] * len(KINDS))
    buckets: dict[int, list[int]] = defaultdict(lambda: [0] * len(BOUNDS_MS))
    for point, cell, count in zip(row["points"], row["cells"], row["counts"], strict=True):
        if cell < FIRST_BUCKET:
            kinds[point][cell] += count
        else:
            buckets[point][cell - FIRST_BUCKET] += count
    return {
        point: StatsCounts(tuple(kinds[point]), tuple(buckets.get(point, ())))
        for point in kinds.keys() | buckets.keys()
    }


FIND_WAITING = """
    SELECT now() AS now,
           extract(epoch FROM now() - (
               -- The first ones due: a webhook may have millions.
               SELECT pg_catalog.min(attempted_at)
                 FROM (SELECT attempted_at
                         FROM webhook_deliveries
                        WHERE webhook_id = $1 AND status::text = 'pending_retry'
                        ORDER BY next_retry_at
                        LIMIT 1000) AS pending
                -- The application may write any time.
                WHERE attempted_at BETWEEN '0001-01-02' AND now()))::float8 AS oldest_seconds
"""


async def oldest_pending(db: Connection, webhook_id: WebhookId) -> tuple[datetime, float | None]:
    """
    Return the time now, and how many seconds ago the oldest pending attempt was scheduled.

    Of more than a thousand, those count that are due first. None if none is pending.
    """
    row: Any = await db.fetchrow(FIND_WAITING, webhook_id)
    return row["now"], row["oldest_seconds"]
