"""CPU time is that of all threads, and of processes that have ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import cpu
from tests.support.daemons import until

BURN_IN_THREE_THREADS = """
import sys, threading, time
burnt, stay = threading.Barrier(3), threading.Event()
def burn(then):
    while time.thread_time() < 0.2:
        pass
    burnt.wait()
    then()
ending = threading.Thread(target=burn, args=[lambda: None])
staying = threading.Thread(target=burn, args=[stay.wait], daemon=True)
ending.start(), staying.start()
burn(ending.join)
print("burnt", flush=True)
sys.stdin.read()
"""
# A child burns, ends, and is waited for, like a session of PostgreSQL.
PARENT = """
import subprocess, sys
child = "import time\\nwhile time.process_time() < 0.3: pass"
for line in sys.stdin:
    subprocess.run([sys.executable, "-c", child])
    print("ended", flush=True)
"""


@contextmanager
def program(source: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


async def test_every_thread_counts_even_when_it_has_ended() -> None:
    with program(BURN_IN_THREE_THREADS) as process:
        assert process.stdout is not None
        process.stdout.readline()
        await until(lambda: len(living_threads_ns(process.pid)) == 2)

        used = cpu.process_ns(process.pid)
        living = sum(living_threads_ns(process.pid))

    # One of the three has ended.
    assert 0.4e9 < living < 0.6e9 < used


def living_threads_ns(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int((each / "schedstat").read_text().split()[0]) for each in threads]


def test_a_child_that_ended_between_two_readings_counts_and_the_known_ones_do_not() -> None:
    with program(PARENT) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        me = os.getpid()
        before = cpu.read([me], parent.pid)
        parent.stdin.write("go\n")
        parent.stdin.flush()
        parent.stdout.readline()
        after = cpu.read([me], parent.pid)

    others = cpu.used_by_others_ns(before, after, [me])
    without_parent = cpu.used_by_others_ns(before, after, [me, parent.pid])
    assert 0.25e9 < without_parent <= others
    assert cpu.used_ns(before, after, [me]) > 0


def test_the_peak_of_memory_is_that_of_the_process() -> None:
    assert 10 < cpu.peak_rss_mb(os.getpid()) < 4000
