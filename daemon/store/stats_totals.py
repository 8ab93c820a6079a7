"""
Stats of all webhooks together: what is folded by minutes, and what is not folded yet.

The rule: a day is read in a bounded number of rows, however many webhooks there are.
"""

from collections import defaultdict
from datetime import datetime, timedelta

from daemon.core.model.stats import CountedStats, StatsCounts, StatsRange
from daemon.core.outcomes.attempt_kinds import KINDS
from daemon.core.outcomes.durations import BOUNDS_MS
from daemon.store.session import Connection
from daemon.store.stats import FIRST_BUCKET, MOST_BATCHES_READ

MINUTE = timedelta(minutes=1)
MOST_MINUTES = 2 * 24 * 60

# One statement, one snapshot: each batch is either folded or not.
COUNT = f"""
    WITH progress AS MATERIALIZED (
        SELECT counted_up_to FROM webhook_stats_progress
    ), batch AS MATERIALIZED (
        SELECT minute, ended, counts
          FROM webhook_stats_batches
         WHERE id > coalesce((SELECT counted_up_to FROM progress), 0)
         ORDER BY id
         LIMIT {MOST_BATCHES_READ}
    ), entry AS MATERIALIZED (
        SELECT batch.minute, each.ended, each.count
          FROM batch CROSS JOIN LATERAL unnest(ended, counts) AS each (ended, count)
         WHERE batch.minute >= $1 AND batch.minute < $2
    ), cell AS (
        SELECT few.minute, each.cell, each.count
          FROM (SELECT minute, cells, counts FROM webhook_stats_totals
                 WHERE minute >= $1 AND minute < $2
                 ORDER BY minute LIMIT {MOST_MINUTES}) AS few
         CROSS JOIN LATERAL unnest(few.cells, few.counts) AS each (cell, count)
         UNION ALL
        SELECT minute, ended / 100, count FROM entry
         UNION ALL
        SELECT minute, 100 + ended % 100, count FROM entry
    )
    SELECT cell,
           pg_catalog.floor(extract(epoch FROM minute - $1)::float8
                            / extract(epoch FROM $3::interval)::float8)::int AS point,
           pg_catalog.sum(count)::bigint AS count
      FROM cell
     GROUP BY cell, point
     UNION ALL
    SELECT NULL, NULL, pg_catalog.count(*) FROM batch
"""  # noqa: S608  made of constants only


def last_minutes(until: datetime, *, minutes: int = 5) -> StatsRange:
    """The whole minutes before the one that ends at this time, as one point."""
    end = until - MINUTE
    length = minutes * MINUTE
    return StatsRange(end - length, end, MINUTE, length, points=1)


async def count(db: Connection, covered: StatsRange) -> CountedStats:
    """Return the counts of all webhooks, point by point; `covered` is of minutes."""
    kinds: dict[int, list[int]] = defaultdict(lambda: [0] * len(KINDS))
    buckets: dict[int, list[int]] = defaultdict(lambda: [0] * len(BOUNDS_MS))
    batches = 0
    for row in await db.fetch(COUNT, covered.since, covered.until, covered.width):
        cell, point = row["cell"], row["point"]
        if point is None:
            batches = row["count"]
        elif cell < FIRST_BUCKET:
            kinds[point][cell] += row["count"]
        else:
            buckets[point][cell - FIRST_BUCKET] += row["count"]
    points = {each: StatsCounts(tuple(kinds[each]), tuple(buckets[each])) for each in list(kinds)}
    return CountedStats(points, batches < MOST_BATCHES_READ)
