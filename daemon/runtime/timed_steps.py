"""How much of the event loop's time work takes: the time of its steps, not of its waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Turn = Callable[[], asyncio.Future[None] | None]


def at_once() -> None:
    """Let each step begin at once."""


class TimedSteps(Generic[T]):
    """
    Awaits a coroutine or the like; returns or raises what it does.

    `spend` is called after each of its steps with the seconds that the step took. `turn` is called
    before each, and returns what the step has to wait for.
    """

    def __init__(
        self, work: Awaitable[T], spend: Callable[[float], None], turn: Turn = at_once
    ) -> None:
        self._work = work
        self._spend = spend
        self._turn = turn

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        step = partial(steps.send, None)
        while True:
            if (turn := self._turn()) is not None:
                try:
                    yield from turn.__await__()
                except BaseException as error:  # noqa: BLE001  as below
                    step = partial(steps.throw, error)
            began = time.perf_counter()
            try:
                waits_for = step()
            except StopIteration as ended:
                result: T = ended.value
                return result
            finally:
                self._spend(time.perf_counter() - began)
            try:
                yield waits_for
                step = partial(steps.send, None)
            except BaseException as error:  # noqa: BLE001  for the work itself to handle
                step = partial(steps.throw, error)
