"""Stats in responses: rates, percentiles, and a series of points."""

from collections.abc import Iterable, Mapping, Sequence

from daemon.admin import schemas
from daemon.core.model.stats import CountedStats, StatsCounts, StatsRange
from daemon.core.outcomes.attempt_kinds import ERROR_KINDS
from daemon.core.outcomes.durations import percentile_ms

NOTHING = StatsCounts((0,), ())


def stats_response(
    counted: CountedStats, covered: StatsRange, *, oldest_pending_seconds: float | None
) -> schemas.WebhookStats:
    """Show what was counted; points without attempts are shown as zeros."""
    total = _sum(counted.points.values())
    errors = zip(ERROR_KINDS, total.kinds[1:], strict=False)
    oldest = oldest_pending_seconds
    return schemas.WebhookStats(
        from_=covered.since,
        to=covered.until,
        success_rate=_success_rate(total),
        delivered=total.kinds[0],
        failed=sum(total.kinds[1:]),
        errors={kind: count for kind, count in errors if count},
        p50_ms=percentile_ms(total.buckets, 0.5),
        p95_ms=percentile_ms(total.buckets, 0.95),
        oldest_pending_seconds=None if oldest is None else int(oldest),
        series=[
            _point(counted.points.get(number, NOTHING), covered, number)
            for number in range(covered.points)
        ],
        complete=counted.complete,
    )


def summary_response(
    counts: Mapping[int, StatsCounts], covered: StatsRange, *, hourly: bool
) -> schemas.StatsSummary:
    """Show a summary of the counts by the number of the point, with the points if `hourly`."""
    total = _sum(counts.values())
    return schemas.StatsSummary(
        success_rate=_success_rate(total),
        delivered=total.kinds[0],
        failed=sum(total.kinds[1:]),
        p95_ms=percentile_ms(total.buckets, 0.95),
        series=_hours(counts, covered) if hourly else None,
    )


def _hours(counts: Mapping[int, StatsCounts], covered: StatsRange) -> list[schemas.HourlyPoint]:
    return [
        schemas.HourlyPoint(
            at=covered.since + number * covered.width,
            delivered=found.kinds[0],
            failed=sum(found.kinds[1:]),
        )
        for number in range(covered.points)
        for found in [counts.get(number, NOTHING)]
    ]


def _point(counts: StatsCounts, covered: StatsRange, number: int) -> schemas.StatsPoint:
    return schemas.StatsPoint(
        at=covered.since + number * covered.width,
        delivered=counts.kinds[0],
        failed=sum(counts.kinds[1:]),
        p50_ms=percentile_ms(counts.buckets, 0.5),
        p95_ms=percentile_ms(counts.buckets, 0.95),
    )


def _success_rate(counts: StatsCounts) -> float | None:
    attempts = sum(counts.kinds)
    return counts.kinds[0] / attempts if attempts else None


def _sum(parts: Iterable[StatsCounts]) -> StatsCounts:
    all_parts = list(parts) or [NOTHING]
    return StatsCounts(
        _added([each.kinds for each in all_parts]),
        _added([each.buckets for each in all_parts if each.buckets]),
    )


def _added(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*rows, strict=True))
