"""
Where the daemon's time goes: its functions under Python's own profiler, added up by stages.

The profiler doubles the time, evenly for long functions, so only shares are meaningful.
What the daemon does once, at its start, is left out.
"""

import pstats
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.bench.bench import Bench, Figures
from tests.bench.installation import installation
from tests.bench.throughput import PLAIN, Load
from tests.bench.variants import Variant

WRAPPER = '#!/bin/sh\nexec "{python}" -m cProfile -o "{file}" "$@"\n'

# The beginnings of files below a site-packages folder or a checkout; the first that fits counts.
STAGES = {
    "share_logs": ("daemon/logs/", "daemon/runtime/metrics/", "daemon/pipeline/attempt_log",
                   "structlog/"),
    "share_results": ("daemon/pipeline/result", "daemon/pipeline/first_results",
                      "daemon/pipeline/waiting_results", "daemon/pipeline/held_results",
                      "daemon/store/results", "daemon/store/contested_results",
                      "daemon/store/stats", "daemon/store/endpoint_health",
                      "daemon/core/outcomes/"),
    "share_scheduling": ("daemon/core/scheduling/", "daemon/pipeline/dispatcher",
                         "daemon/pipeline/lane", "daemon/pipeline/attempt_queue"),
    "share_signing": ("daemon/pipeline/attempt", "daemon/core/wire/", "daemon/secrets/"),
    "share_network": ("daemon/egress/",),
    "share_fanout": ("daemon/pipeline/", "daemon/core/matching/", "daemon/store/", "daemon/core/",
                     "daemon/runtime/"),
    "share_driver": ("asyncpg/",),
}  # fmt: skip

# Counting attempts for the stats, which is to cost little of the throughput.
ROLLUPS = ("daemon/store/stats_batches", "add_batch")

Function = tuple[str, int, str]  # file, line, name


async def profiled(bench: Bench, variant: Variant) -> Figures:
    """Deliver the first workload's events under the profiler."""
    file, wrapper = bench.folder / "profile.stats", bench.folder / "profiled-python"
    wrapper.write_text(WRAPPER.format(python=variant.python, file=file))
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    slow = replace(variant, python=str(wrapper))
    events = bench.sizes.events
    async with (
        bench.databases.clone(variant) as url,
        installation(bench.databases.server, url, bench.receiver) as run,
    ):
        load = await Load.prepared(bench, run, PLAIN)
        await run.start_daemons(slow, bench.folder)
        await load.deliver(events)
        await run.stop_daemons()
    return shares(file, deliveries=events)


def shares(file: Path, *, deliveries: int) -> Figures:
    """
    Return the calls of functions per delivery, and the percentage of time of each stage.

    That of the roll-ups includes all that they call, and so is part of others.
    """
    calls, rollups, seconds = 0.0, 0.0, Counter[str]()
    statistics = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    for function, (_, called, own, cumulated, callers) in statistics.items():
        if ROLLUPS[0] in function[0] and function[2] == ROLLUPS[1]:
            rollups += cumulated
        if stage := _stage(function):
            calls += called
            seconds[stage] += own
        elif function[0] == "~":  # built in: its callers' time
            for caller, (_, called_by, own_by, _) in callers.items():
                if stage := _stage(caller):
                    calls += called_by
                    seconds[stage] += own_by
    total = seconds.total()
    of_stages = {stage: 100 * seconds[stage] / total for stage in STAGES}
    return {"calls": calls / deliveries, "share_rollups": 100 * rollups / total} | of_stages


def _stage(function: Function) -> str | None:
    file, _, name = function
    if name == "<module>":  # once, at its import
        return None
    for stage, beginnings in STAGES.items():
        if any(f"/{each}" in f"/{file}" for each in beginnings):
            return stage
    return None
