"""How long one attempt took, in all and in each of its stages."""

from collections.abc import Callable
from itertools import pairwise


class Timings:
    """A stopwatch that starts when it is created; `clock` returns seconds."""

    __slots__ = ("_clock", "_entered", "started_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.started_at = clock()
        self._entered: list[tuple[str, float]] = []

    def enter(self, stage: str) -> None:
        """Start a stage and end the one before."""
        self._entered.append((stage, self._clock()))

    def read(self) -> tuple[int, tuple[tuple[str, int], ...]]:
        """
        Return the milliseconds since the start, and those of each stage.

        Stages come in order of first entry; repeated ones add up.
        """
        now, entered = self._clock(), self._entered
        total = _milliseconds(now - self.started_at)
        if len(entered) == 1:
            [(stage, began)] = entered
            return total, ((stage, _milliseconds(now - began)),)
        seconds: dict[str, float] = {}
        for (stage, began), (_, ended) in pairwise([*entered, ("", now)]):
            seconds[stage] = seconds.get(stage, 0.0) + ended - began
        return total, tuple((stage, _milliseconds(each)) for stage, each in seconds.items())


def _milliseconds(seconds: float) -> int:
    # A clock that omits stalls may step back a little at the end of one.
    return max(0, round(seconds * 1000))
