"""CPU time is that of all threads, and of processes that have ended."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import cpu

BURN_IN_TWO_THREADS = """
import sys, threading, time
def burn():
    while time.thread_time() < 0.2:
        pass
threads = [threading.Thread(target=burn) for _ in range(2)]
[thread.start() for thread in threads]
burn()
[thread.join() for thread in threads]
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


def test_every_thread_counts() -> None:
    with program(BURN_IN_TWO_THREADS) as process:
        assert process.stdout is not None
        process.stdout.readline()

        used = cpu.process_ns(process.pid)
        # The kernel's own clock of the whole process, as a second opinion.
        clock = time.clock_gettime_ns((~process.pid << 3) | 2)

    assert 0.6e9 < used <= clock


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
