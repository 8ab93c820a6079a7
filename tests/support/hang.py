"""Ends work that would hold the process for minutes, also within a regular expression."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest


@contextmanager
def at_most_cpu_seconds(seconds: float) -> Iterator[None]:
    """
    Fail the block once the process has used so much CPU time, whatever else the machine does.

    For the main thread. No `except Exception` catches the failure.
    The bound is no measurement: quadratic work exceeds it many times.
    """

    def fail(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"took more than {seconds} s of CPU time")

    former = signal.signal(signal.SIGVTALRM, fail)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)
