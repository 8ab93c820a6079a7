"""The benchmarks' figures as text."""

import statistics
from collections.abc import Sequence

Run = dict[str, float]  # wall-clock seconds and CPU seconds of one run
Runs = dict[str, list[Run]]

NAMES = {
    "aiohttp": "bare aiohttp loop, nothing else",
    "sender": "bare loop over our sender",
    "daemon": "the daemon: event rows to recorded deliveries",
}


def last_round(runs: Runs, deliveries: int) -> str:
    """Return the throughput of the last round as one line."""
    return "   ".join(
        f"{kind} {deliveries / each[-1]['seconds']:,.0f}/s" for kind, each in runs.items()
    )


def throughput(runs: Runs, deliveries: int) -> str:
    """Return the medians of all rounds as a table, with the ratio of daemon and bare loop."""
    title = f"median of {len(runs['daemon'])} rounds"
    lines = [f"{title:<48}   per second   CPU per delivery"]
    for kind, each in runs.items():
        rate = statistics.median(deliveries / run["seconds"] for run in each)
        lines.append(
            f"{NAMES[kind]:<48} {rate:>12,.0f} {_cpu_us(each, 'cpu', deliveries):>15,.0f} µs"
        )
    postgres = _cpu_us(runs["daemon"], "database", deliveries)
    lines.append(f"{'PostgreSQL beside it':<48} {'':>12} {postgres:>15,.0f} µs")
    lines.append(f"daemon / bare aiohttp, round by round: {_ratios(runs)}")
    return "\n".join(lines)


def latency(waits_ms: Sequence[float]) -> str:
    """Return median, percentiles and maximum of the times from commit to receipt."""
    ordered, count = sorted(waits_ms), len(waits_ms)
    return (
        f"commit to receipt, {count} events one by one, idle daemon:\n"
        f"  median {statistics.median(ordered):.1f} ms   p95 {ordered[int(count * 0.95)]:.1f} ms"
        f"   p99 {ordered[int(count * 0.99)]:.1f} ms   most {ordered[-1]:.1f} ms"
    )


def _cpu_us(runs: Sequence[Run], member: str, deliveries: int) -> float:
    return statistics.median(run[member] / deliveries * 1e6 for run in runs)


def _ratios(runs: Runs) -> str:
    ratios = [
        bare["seconds"] / daemon["seconds"]
        for bare, daemon in zip(runs["aiohttp"], runs["daemon"], strict=True)
    ]
    return f"median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
