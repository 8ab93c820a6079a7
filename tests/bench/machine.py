"""Where and with what the benchmarks ran."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench.servers import Server
from tests.bench.variants import ROOT, Variant

PACKAGES = ("aiohttp", "asyncpg", "uvloop", "httptools")


def description(servers: Sequence[Server], variants: Sequence[Variant]) -> dict[str, str]:
    """Return what a reader needs to compare the figures with others, by its name."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "subjects": ", ".join(each.name for each in variants),
        "processors": f"{len(os.sched_getaffinity(0))} x {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "PostgreSQL": ", ".join(each.name.removeprefix("PostgreSQL ") for each in servers),
        **{package: version(package) for package in PACKAGES},
    }


def commit() -> str:
    """Return the checkout's commit, with `-dirty` after changes; `unknown` without git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
