"""Figures that follow from others: ratios to baselines, and shares without the publisher's."""

from tests.bench.results import Results, Series, quotient

RATE = "rate"
ALONE = "alone"
ASKED = ("console", "questions")
BESIDE = ("pending", "hostile", "storm", "replay", *ASKED, "old-transaction")
SEVERAL = ("daemons-2", "daemons-4")
PUBLISHER = "publisher"
AIOHTTP = "aiohttp"
TIMES_ALONE = 2.0
MORE_THAN_ALONE_MS = 15.0


def derive(results: Results) -> None:
    """Add all derived figures for whose sources there are values."""
    for workload in results.workloads():
        for subject in results.subjects(workload):
            _without_publisher(results, workload, subject)
            _against_aiohttp(results, workload, subject)
            if workload == "tls":
                _against(results, workload, subject, ("ratio_http", "rate"), RATE)
            if workload in SEVERAL:
                _against(results, workload, subject, ("ratio_one", "rate"), RATE)
                _against(results, workload, subject, ("postgres_ratio_one", "postgres_us"), RATE)
                statements = ("statements_ratio_one", "statements_event")
                _against(results, workload, subject, statements, RATE)
            if workload in BESIDE:
                results.combine(
                    Series(workload, subject, "p99_of_limit"),
                    of_limit,
                    Series(workload, subject, "p99_ms"),
                    Series(ALONE, subject, "p99_ms"),
                )


def of_limit(beside_ms: float, alone_ms: float) -> float:
    """Return the delay beside a load as a part of what is allowed."""
    return quotient(beside_ms, max(TIMES_ALONE * alone_ms, alone_ms + MORE_THAN_ALONE_MS))


def _against(
    results: Results, workload: str, subject: str, figures: tuple[str, str], other: str
) -> None:
    ratio, figure = figures
    results.combine(
        Series(workload, subject, ratio),
        quotient,
        Series(workload, subject, figure),
        Series(other, subject, figure),
    )


def _against_aiohttp(results: Results, workload: str, subject: str) -> None:
    own = Series(workload, AIOHTTP, "rate")
    other = own if own in results.values else Series(RATE, AIOHTTP, "rate")
    # A rate that the publisher sets, or of other bodies, is not comparable.
    if subject != AIOHTTP and workload in {RATE, "tls", "bursts", "fan-out", *SEVERAL}:
        results.combine(
            Series(workload, subject, "ratio_aiohttp"),
            quotient,
            Series(workload, subject, "rate"),
            other,
        )


def _without_publisher(results: Results, workload: str, subject: str) -> None:
    """The publisher's share is measured by itself: as a subject, or once for each subject."""
    if subject == PUBLISHER:
        return
    for own, whole in (
        ("wal_own_bytes", "wal_bytes"),
        ("transactions_own", "transactions"),
        ("fsyncs_own", "fsyncs"),
    ):
        share = Series(workload, subject, f"publisher_{whole}")
        if share not in results.values:
            share = Series(workload, PUBLISHER, whole)
        results.combine(
            Series(workload, subject, own),
            lambda all_of_it, publishers: all_of_it - publishers,
            Series(workload, subject, whole),
            share,
        )
