"""Steps of handshakes run in threads, one of a tenant at a time, slow ones at low priority."""

import asyncio
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from daemon.egress import handshake_threads
from daemon.egress.handshake_threads import (
    LOWEST_PRIORITY,
    MOST_QUICK,
    STEPS_IN_A_ROW,
    HandshakeThreads,
    Step,
)
from tests.support.daemons import until


class Steps:
    """Steps that wait until they may go on; an owner is the first letter of a step's name."""

    def __init__(self) -> None:
        self.threads = HandshakeThreads()
        self.began: list[str] = []
        self.ended: list[str] = []
        self.seconds: list[float] = []
        self.proceed = threading.Semaphore(0)

    def run(self, name: str, *, wanted: Callable[[], bool] = lambda: True) -> None:
        def work() -> None:
            self.began.append(name)
            assert self.proceed.acquire(timeout=30)

        self.run_work(name, work, wanted=wanted)

    def run_work(
        self, name: str, work: Callable[[], None], *, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        def ended(seconds: float) -> None:
            self.ended.append(name)
            self.seconds.append(seconds)

        self.threads.run(name[0], Step(work, ended, wanted))


@pytest.fixture
async def steps() -> AsyncIterator[Steps]:
    steps = Steps()
    yield steps
    steps.proceed.release(100)
    steps.threads.close()


async def test_an_owner_has_one_step_at_a_time_beside_those_of_others(steps: Steps) -> None:
    for name in ("a1", "a2", "a3", "b1", "b2"):
        steps.run(name)
    await until(lambda: len(steps.began) == 2)
    together = sorted(steps.began)
    steps.proceed.release(5)
    await until(lambda: len(steps.ended) == 5)

    assert together == ["a1", "b1"]
    assert [name for name in steps.began if name[0] == "a"] == ["a1", "a2", "a3"]


async def test_a_step_that_is_not_wanted_any_more_is_dropped(steps: Steps) -> None:
    steps.run("a1")
    steps.run("a2", wanted=lambda: False)
    steps.run("a3")
    steps.proceed.release(3)
    await until(lambda: steps.ended == ["a1", "a3"])

    assert steps.began == ["a1", "a3"]


def burn(until_true: Callable[[], bool]) -> None:
    """Use CPU time without the interpreter's lock, as OpenSSL does."""
    ends = time.thread_time() + 20
    while not until_true():
        assert time.thread_time() < ends
        hashlib.pbkdf2_hmac("sha256", b"x", b"x", 10_000)


def priority() -> int:
    """That of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_slow_steps_get_the_lowest_priority_and_leave_their_places_to_others(
    steps: Steps,
) -> None:
    go_on = threading.Event()
    at_first = priority()
    priorities: list[int] = []

    def work() -> None:
        burn(lambda: priority() > at_first)
        priorities.append(priority())
        assert go_on.wait(30)

    for owner in "abcdefghij"[: MOST_QUICK + 1]:
        steps.run_work(owner, work)
    await until(lambda: len(priorities) == MOST_QUICK + 1, within=60)
    steps.run_work("z", lambda: None)
    await until(lambda: steps.ended == ["z"])
    go_on.set()
    await until(lambda: len(steps.ended) == MOST_QUICK + 2)
    after: list[int] = []
    steps.run_work("a", lambda: after.append(priority()))
    await until(lambda: bool(after))

    assert set(priorities) == {LOWEST_PRIORITY}
    assert min(steps.seconds[1:-1]) >= handshake_threads.QUICK_SECONDS
    assert after == [at_first]
    assert priority() == at_first


async def test_a_closed_one_drops_what_waits_and_ends_its_threads(steps: Steps) -> None:
    threads: list[threading.Thread] = []
    steps.run_work("b1", lambda: threads.append(threading.current_thread()))
    steps.run_work("c1", lambda: threads.append(threading.current_thread()))
    await until(lambda: len(steps.ended) == 2)
    for number in range(STEPS_IN_A_ROW + 2):
        steps.run(f"a{number}")
    await until(lambda: steps.began)
    steps.threads.close()
    steps.run("d1")
    steps.proceed.release(100)
    await until(lambda: not any(each.is_alive() for each in threads))

    assert not set(steps.began) & {"a9", "d1"}


UNENDING = """
import asyncio, threading
from daemon.egress.handshake_threads import HandshakeThreads, Step

async def main():
    threads, began = HandshakeThreads(), threading.Event()
    def work():
        began.set()
        threading.Event().wait()
    threads.run("a", Step(work, print, lambda: True))
    await asyncio.to_thread(began.wait)
    threads.close()

asyncio.run(main())
"""


async def test_the_end_of_a_process_waits_for_no_step() -> None:
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", UNENDING],
        timeout=60,
        capture_output=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.fixture
def quickly_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant's use counts from some milliseconds on."""
    monkeypatch.setattr(handshake_threads, "STEP_SECONDS", 0.003)


async def test_who_took_little_lately_comes_before_many_who_took_much(
    quickly_noticed: None, steps: Steps
) -> None:
    """Steps just below what counts as slow, of more tenants than there are threads."""
    crowd = "abcdefghijklmnopqrst"

    def work() -> None:
        ends = time.thread_time() + 0.003
        burn(lambda: time.thread_time() > ends)

    for owner in crowd:
        for number in range(STEPS_IN_A_ROW):
            steps.run_work(f"{owner}{number}", work)
    await until(lambda: len(steps.ended) > 6 * len(crowd), within=60)
    steps.run_work("z", lambda: None)
    before = len(steps.ended)
    await until(lambda: "z" in steps.ended)

    # It would be behind one of each, without that rule.
    assert steps.ended.index("z") - before <= len(crowd) // 2


async def test_a_row_of_steps_ends_after_some_time(steps: Steps) -> None:
    def work() -> None:
        ends = time.thread_time() + handshake_threads.ROW_SECONDS
        burn(lambda: time.thread_time() > ends)

    for number in range(4):
        steps.run_work(f"a{number}", work)
    steps.run_work("b", work)
    steps.run_work("c", lambda: None)
    await until(lambda: len(steps.ended) == 6)

    assert [each for each in steps.ended if each[0] == "a"] == ["a0", "a1", "a2", "a3"]
    assert steps.ended.index("c") < steps.ended.index("a3")
