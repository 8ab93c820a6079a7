"""
The full count of deliveries, at the receiver and in the tables.

The expected deliveries are read from the tables too: all committed events, for every webhook of
their tenant, even if the connection that committed them was lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.faults.environment import Environment, Pair
from tests.faults.report import Report
from tests.support.application import Application


@dataclass(frozen=True, slots=True)
class RowCounts:
    """
    The rows of webhook_deliveries, counted; `retries` are attempts after the first.

    `leased` counts first attempts of leased events too, which have no row yet.
    """

    success: int
    pending: int
    failed: int
    leased: int
    retries: int


EXPECTED = """
    SELECT w.endpoint_url, e.id AS event_id
      FROM webhook_events AS e JOIN webhooks AS w ON w.tenant_id = e.tenant_id
"""


async def expected_pairs(env: Environment) -> set[Pair]:
    """Return every pair of a committed event and a webhook of its tenant."""
    async with env.application() as app:
        return _pairs(env, await app.db.fetch(EXPECTED))


STORED = """
    SELECT w.endpoint_url, d.event_id
      FROM webhook_deliveries AS d JOIN webhooks AS w ON w.id = d.webhook_id
     WHERE d.status = 'success'
"""


async def stored_pairs(env: Environment) -> set[Pair]:
    """Return every pair that has a `success` row."""
    async with env.application() as app:
        return _pairs(env, await app.db.fetch(STORED))


def _pairs(env: Environment, rows: Iterable[Any]) -> set[Pair]:
    prefix = len(env.receiver.url)
    return {(row["endpoint_url"][prefix:], f"evt_{row['event_id'].hex}") for row in rows}


ROW_COUNTS = """
    SELECT count(*) FILTER (WHERE status = 'success') AS success,
           count(*) FILTER (WHERE status = 'pending_retry') AS pending,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(leased_until) + (
               SELECT count(*)
                 FROM webhook_event_inbox AS i JOIN webhooks AS w ON w.tenant_id = i.tenant_id
                WHERE i.leased_until > now()
                  AND NOT EXISTS (SELECT FROM webhook_deliveries AS d
                                   WHERE d.event_id = i.event_id AND d.webhook_id = w.id)
           ) AS leased,
           count(*) FILTER (WHERE attempt_number > 1) AS retries
      FROM webhook_deliveries
"""


async def row_counts(env: Environment) -> RowCounts:
    """Count the rows of webhook_deliveries."""
    async with env.application() as app:
        return RowCounts(**dict(await app.db.fetchrow(ROW_COUNTS)))


CHARGED = """
    SELECT count(*) FROM webhooks
     WHERE consecutive_failures <> 0 OR is_failing OR NOT is_active OR last_failure_at IS NOT NULL
"""


async def charged_endpoints(env: Environment) -> int:
    """Count the endpoints that were charged with a failure."""
    async with env.application() as app:
        return int(await app.db.fetchval(CHARGED))


STATS = """
    SELECT counted.webhook_id, counted.delivered, counted.failed
      FROM (SELECT webhook_id, sum(count) FILTER (WHERE kind = 0) AS delivered,
                   sum(count) FILTER (WHERE kind > 0) AS failed
              FROM (SELECT webhook_id, cell AS kind, count
                      FROM webhook_stats CROSS JOIN LATERAL unnest(cells, counts) AS c (cell, count)
                     WHERE minutes = 1 AND cell < 100
                     UNION ALL
                    SELECT e.webhook_id, e.ended / 100, e.count
                      FROM webhook_stats_batches AS b
                     CROSS JOIN LATERAL unnest(webhook_ids, b.ended, counts)
                                AS e (webhook_id, ended, count)) AS cells
             GROUP BY webhook_id) AS counted
"""
ROWS = """
    SELECT webhook_id, nullif(count(*) FILTER (WHERE status = 'success'), 0) AS delivered,
           nullif(count(*) FILTER (WHERE status = 'failed'), 0) AS failed
      FROM webhook_deliveries
     WHERE status <> 'pending_retry'
     GROUP BY webhook_id
"""


async def miscounted(app: Application) -> list[str]:
    """The webhooks of which not as many attempts are counted as stored, with both numbers."""
    counted, stored = [
        {row["webhook_id"]: (row["delivered"], row["failed"]) for row in await app.db.fetch(sql)}
        for sql in (STATS, ROWS)
    ]
    return [
        f"{each}: {counted.get(each)} counted, {stored.get(each)} stored"
        for each in counted.keys() | stored.keys()
        if counted.get(each) != stored.get(each)
    ]


async def check_deliveries(env: Environment, report: Report, *, duplicates: int = 0) -> None:
    """
    Check that everything published was delivered and stored once, and that no failure was counted.

    `duplicates` is how many more requests than pairs are allowed.
    """
    expected, requests = await expected_pairs(env), env.requests_per_pair()
    counts = await row_counts(env)
    missing = expected - requests.keys()
    more = requests.total() - len(requests)
    allowed = f" of at most {duplicates}" if duplicates else ""
    report.check("every pair received", not missing, f"{len(expected)}, {len(missing)} missing")
    report.check("nothing received that was not published", not requests.keys() - expected)
    report.check("duplicates", more <= duplicates, f"{more}{allowed}")
    report.check("every pair stored once", counts.success == len(expected), counts)
    report.check("stored pairs are the expected ones", await stored_pairs(env) == expected)
    report.check("nothing pending, no lease left", counts.pending == counts.leased == 0, counts)
    report.check("no attempt spent", counts.failed == counts.retries == 0, counts)
    report.check("no endpoint charged", await charged_endpoints(env) == 0)
    async with env.application() as app:
        wrong = await miscounted(app)
    report.check("as many attempts counted as stored", not wrong, "; ".join(wrong))
