"""What the figures are to reach."""

from dataclasses import dataclass

from tests.bench.derived import ASKED, BESIDE, SEVERAL
from tests.bench.results import Results


@dataclass(frozen=True, slots=True)
class Target:
    """
    A limit on the median of a figure, or, with `against`, on its ratio to the other revision's.

    `least` says that the figure is to be at least the limit, not at most.
    """

    workload: str
    figure: str
    limit: float
    least: bool = False
    against: bool = False

    def __str__(self) -> str:
        sign, text = "≥" if self.least else "≤", f"{self.limit:,g}"
        return f"{sign} {text} of the other" if self.against else f"{sign} {text}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A target, and what was measured; None if nothing was."""

    target: Target
    value: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached, None if nothing was measured."""
        if self.value is None:
            return None
        if self.target.least:
            return self.value >= self.target.limit
        return self.value <= self.target.limit


TARGETS = [
    Target("rate", "ratio_aiohttp", 1.0, least=True),
    Target("rate", "daemon_us", 55),
    Target("rate", "postgres_us", 25),
    Target("rate", "wal_own_bytes", 1_500),
    Target("rate", "statements", 0.05),
    Target("rate", "row_versions", 1),
    Target("tls", "ratio_http", 0.9, least=True),
    Target("profile", "share_rollups", 3),
    Target("fan-out", "cpu_us", 0.65, against=True),
    Target("payload", "cpu_us", 0.65, against=True),
    Target("paced-50", "p50_ms", 1.5),
    Target("paced-50", "p99_ms", 10),
    Target("paced-50", "cpu_us", 0.6, against=True),
    Target("paced-50", "wal_own_bytes", 0.6, against=True),
    Target("paced-50", "transactions_own", 0.66, against=True),
    Target("paced-500", "p50_ms", 1.5),
    Target("paced-500", "p99_ms", 10),
    *(Target(workload, "p99_of_limit", 1) for workload in BESIDE),
    *(Target(workload, "missing", 0) for workload in BESIDE),
    *(Target(workload, "slowest_page_p95_ms", 200) for workload in ASKED),
    Target("pending", "rss_mb", 150),
    *(Target(workload, "ratio_one", 1, least=True) for workload in SEVERAL),
    *(Target(workload, "duplicates", 0) for workload in SEVERAL),
    *(Target(workload, "postgres_ratio_one", 1.2) for workload in SEVERAL),
    *(Target(workload, "statements_ratio_one", 1.3) for workload in SEVERAL),
    Target("idle", "statements_s", 3),
    Target("idle", "daemon_percent", 0.2),
]


def judge(results: Results, *, subject: str, other: str | None) -> list[Judged]:
    """Return every target of the workloads that were measured, with what `subject` reached."""
    judged = []
    measured = results.workloads()
    for target in TARGETS:
        if target.workload not in measured:
            continue
        if not target.against:
            value = results.median(target.workload, subject, target.figure)
        elif other is None:
            value = None
        else:
            value = results.ratio(target.workload, target.figure, (subject, other))
        judged.append(Judged(target, value))
    return judged
