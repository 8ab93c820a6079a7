"""What is measured: name, meaning and unit of each figure, in the order of the table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure's label and the number of its decimal places."""

    label: str
    places: int = 0


MEASURES = {
    "rate": Measure("deliveries/s"),
    "ratio_aiohttp": Measure("  of the bare aiohttp loop", 2),
    "ratio_http": Measure("  of the rate over http", 2),
    "ratio_one": Measure("  of the rate of one daemon", 2),
    "p50_ms": Measure("commit to receipt, median, ms", 1),
    "p99_ms": Measure("commit to receipt, p99, ms", 1),
    "worst_ms": Measure("commit to receipt, worst, ms", 1),
    "request_ms": Measure("a request of a bare loop, median, ms", 1),
    "p99_of_limit": Measure("  p99 / (the larger of 2 x alone, alone + 15 ms)", 2),
    "cpu_us": Measure("CPU per delivery, daemon + PostgreSQL, µs", 1),
    "daemon_us": Measure("  daemon, or bare loop", 1),
    "postgres_us": Measure("  PostgreSQL, but the publisher's sessions", 1),
    "postgres_ratio_one": Measure("  PostgreSQL's, of that with one daemon", 2),
    "publisher_us": Measure("  the publisher's sessions", 1),
    "receiver_us": Measure("  receiver", 1),
    "wal_own_bytes": Measure("WAL per delivery without the publisher's, bytes"),
    "publisher_wal_bytes": Measure("  the publisher's own, trigger included"),
    "trigger_wal_bytes": Measure("  of that by the trigger"),
    "wal_bytes": Measure("  in all"),
    "row_versions": Measure("row versions of webhook_deliveries per delivery", 2),
    "statements": Measure("statements per delivery", 3),
    "statements_event": Measure("statements per event", 3),
    "statements_ratio_one": Measure("  of those with one daemon", 2),
    "transactions_own": Measure("transactions per delivery without the publisher's", 2),
    "transactions": Measure("  in all", 2),
    "fsyncs_own": Measure("fsyncs of the WAL per delivery without the publisher's", 2),
    "fsyncs": Measure("  in all", 2),
    "statements_s": Measure("statements/s", 2),
    "daemon_percent": Measure("CPU of the daemon, %", 3),
    "postgres_percent": Measure("CPU of PostgreSQL, %", 3),
    "wal_bytes_s": Measure("WAL, bytes/s"),
    "duplicates": Measure("duplicates"),
    "repeated": Measure("attempts after a failed one: each waits for a minute"),
    "missing": Measure("never received"),
    "beside_events": Measure("live events measured"),
    "pages": Measure("pages opened, or questions asked"),
    "page_p95_ms": Measure("  time of a page or question, p95, ms"),
    "slowest_page_p95_ms": Measure("  time of the slowest one, p95, ms"),
    "rss_mb": Measure("daemon's peak RSS, MB", 0),
    "calls": Measure("calls of functions per delivery"),
    "share_fanout": Measure("  time in: inbox, matching, first attempts, %", 1),
    "share_scheduling": Measure("  whose turn it is, %", 1),
    "share_signing": Measure("  body, signatures, verdict, %", 1),
    "share_network": Measure("  sending, reading, %", 1),
    "share_results": Measure("  storing results, health, stats, %", 1),
    "share_logs": Measure("  log lines, metrics, %", 1),
    "share_driver": Measure("  the database's driver, %", 1),
    "share_rollups": Measure("time in counting for the stats, with what that calls, %", 1),
}
