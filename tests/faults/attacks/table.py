"""The results of attacks: their arithmetic, the verdict, and the table."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_P95_MS = 250.0
MAX_RSS_MB = 400.0


@dataclass(frozen=True, slots=True)
class Latency:
    """The delays of healthy deliveries in ms; infinite where too few arrived."""

    p50: float
    p95: float
    worst: float
    deliveries: int
    missing: int

    @classmethod
    def of(cls, delays_ms: Sequence[float]) -> "Latency":
        """Summarise delays, in which infinity stands for a delivery that never arrived."""
        return cls(
            p50=quantile(delays_ms, 0.5),
            p95=quantile(delays_ms, 0.95),
            worst=max(delays_ms, default=math.inf),
            deliveries=len(delays_ms),
            missing=sum(map(math.isinf, delays_ms)),
        )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of them does not exceed; of none, inf."""
    if not values:
        return math.inf
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


@dataclass(frozen=True, slots=True)
class Result:
    """What an attack did; `broken` and `notes` are sentences, `skipped` why it did not run."""

    name: str
    description: str
    alone: Latency
    attacked: Latency
    peak_rss_mb: float
    max_p95_ms: float = MAX_P95_MS
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str | None = None

    @property
    def violations(self) -> list[str]:
        """Each limit that was exceeded, with the figure; empty when all promises held."""
        if self.skipped is not None:
            return []
        found = list(self.broken)
        if not self.attacked.deliveries:
            found.append("nothing was measured")
        if self.attacked.missing:
            found.append(f"{self.attacked.missing} of {self.attacked.deliveries} never arrived")
        if self.attacked.p95 > self.max_p95_ms:
            found.append(f"p95 {milliseconds(self.attacked.p95)} of {self.max_p95_ms:.0f} ms")
        if self.peak_rss_mb > MAX_RSS_MB:
            found.append(f"memory {self.peak_rss_mb:.0f} of {MAX_RSS_MB:.0f} MB")
        return found

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if self.skipped is not None:
            return f"skipped: {self.skipped}"
        return f"BROKEN: {'; '.join(self.violations)}" if self.violations else "held"

    def as_json(self) -> dict[str, Any]:
        """Return the result for JSON, which has no infinity: null is a delay without end."""
        return {
            "attack": self.name,
            "description": self.description,
            "alone": _latency_as_json(self.alone),
            "underAttack": _latency_as_json(self.attacked),
            "peakRssMb": round(self.peak_rss_mb, 1),
            "maxP95Ms": self.max_p95_ms,
            "maxRssMb": MAX_RSS_MB,
            "violations": self.violations,
            "skipped": self.skipped,
            "notes": list(self.notes),
        }


HEADINGS = (
    f"{'':25}{'healthy alone, ms':>26}{'under attack, ms':>26}{'peak':>8}\n"
    f"{'attack':25}" + f"{'p50':>8}{'p95':>9}{'worst':>9}" * 2 + f"{'MB':>8}  verdict"
)


def line(result: Result) -> str:
    """Return the table's line for one attack."""
    figures = "".join(
        f"{milliseconds(each.p50):>8}{milliseconds(each.p95):>9}{milliseconds(each.worst):>9}"
        for each in (result.alone, result.attacked)
    )
    return f"{result.name:25}{figures}{result.peak_rss_mb:>8.0f}  {result.verdict}"


def table(results: Iterable[Result]) -> str:
    """Return the whole table."""
    return "\n".join([HEADINGS, *map(line, results)])


def milliseconds(value: float) -> str:
    """Return the number with one decimal place if it is short; `never` for infinity."""
    if math.isinf(value):
        return "never"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _latency_as_json(latency: Latency) -> dict[str, Any]:
    delays = {"p50Ms": latency.p50, "p95Ms": latency.p95, "worstMs": latency.worst}
    finite = {name: None if math.isinf(ms) else round(ms, 1) for name, ms in delays.items()}
    return {**finite, "deliveries": latency.deliveries, "missing": latency.missing}
