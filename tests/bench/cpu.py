"""
CPU time of processes, in nanoseconds: what the scheduler counts in `/proc/*/task/*/schedstat`.

It is read from the clock of each process, which has the threads that ended, too. Processes that end
between two readings count if they are children of the PostgreSQL server: the kernel adds their time
to their parent's, in ticks of 10 ms.
"""

import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# As in clock_getcpuclockid(3), which Python does not have: of a process, by what was scheduled.
SCHEDULER_CLOCK = 2
NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """
    CPU time so far, by process id.

    `ended_children` is the time of the PostgreSQL server's children that have ended.
    """

    processes: dict[int, int]
    ended_children: int


def read(processes: Iterable[int], postmaster: int) -> Reading:
    """Read the CPU time of `processes`, and of the PostgreSQL server with its children."""
    children = [child.pid for child in psutil.Process(postmaster).children(recursive=True)]
    times = {}
    for pid in [*processes, postmaster, *children]:
        with suppress(OSError):
            times[pid] = process_ns(pid)
    return Reading(times, _ended_children_ns(postmaster))


def used_ns(before: Reading, after: Reading, processes: Collection[int]) -> int:
    """Return what these processes used between two readings, if they still run."""
    return sum(
        after.processes[pid] - before.processes.get(pid, 0)
        for pid in processes
        if pid in after.processes
    )


def used_by_others_ns(before: Reading, after: Reading, processes: Collection[int]) -> int:
    """Return what all processes but these used between two readings, those that ended included."""
    others = [pid for pid in after.processes if pid not in processes]
    gone = sum(ns for pid, ns in before.processes.items() if pid not in after.processes)
    ended = after.ended_children - before.ended_children - gone
    return used_ns(before, after, others) + max(0, ended)


def process_ns(pid: int) -> int:
    """Return the CPU time of a process, all threads included. Raises OSError if it has ended."""
    return time.clock_gettime_ns(~pid << 3 | SCHEDULER_CLOCK)


def peak_rss_mb(pid: int) -> float:
    """Return the most memory that the process has had resident, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _ended_children_ns(pid: int) -> int:
    # The name, in parentheses, may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[13:15]  # cutime and cstime, the 16th and 17th field
    return (int(user) + int(system)) * NS_PER_TICK
