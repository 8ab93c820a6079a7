"""Where and with what the benchmarks ran."""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.bench.servers import Server
from tests.bench.sizes import QUICK, Sizes
from tests.bench.variants import ROOT, Variant

PACKAGES = ("aiohttp", "asyncpg", "uvloop", "httptools")


def description(
    servers: Sequence[Server], variants: Sequence[Variant], sizes: Sizes, folder: Path
) -> dict[str, str]:
    """Return what a reader needs to compare the figures with others; databases are in `folder`."""
    is_quick = sizes == replace(QUICK, rounds=sizes.rounds)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "loads": "small: the figures mean nothing" if is_quick else "full",
        "rounds": str(sizes.rounds),
        "subjects": ", ".join(each.name for each in variants),
        "processors": f"{len(os.sched_getaffinity(0))} x {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "disk": f"{_file_system(folder)}, {_fsync_ms(folder):.2f} ms for write and fsync of 8 KB",
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


def _file_system(folder: Path) -> str:
    mounts = [
        each for each in psutil.disk_partitions(all=True) if folder.is_relative_to(each.mountpoint)
    ]
    return max(mounts, key=lambda each: len(each.mountpoint)).fstype if mounts else "unknown"


def _fsync_ms(folder: Path) -> float:
    """Return the median time of writing 8 KB to a file and waiting for the disk."""
    took = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(bytes(8192))
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
