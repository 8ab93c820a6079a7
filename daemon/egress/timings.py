"""How long one attempt took, in all and in each of its stages."""

from collections.abc import Callable
from itertools import pairwise


class Timings:
    """
    A stopwatch that starts when it is created; `clock` returns seconds.

    With a `stage`, that begins at once.
    """

    __slots__ = ("_clock", "_entered", "started_at")

    def __init__(self, clock: Callable[[], float], stage: str | None = None) -> None:
        self._clock = clock
        self.started_at = now = clock()
        self._entered: list[tuple[str, float]] = [] if stage is None else [(stage, now)]

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
        if len(entered) == 1 and entered[0][1] == self.started_at:
            return total, ((entered[0][0], total),)
        seconds: dict[str, float] = {}
        for (stage, began), (_, ended) in pairwise([*entered, ("", now)]):
            seconds[stage] = seconds.get(stage, 0.0) + ended - began
        return total, tuple((stage, _milliseconds(each)) for stage, each in seconds.items())


def _milliseconds(seconds: float) -> int:
    # A clock that omits stalls may step back a little at the end of one.
    return max(0, round(seconds * 1000))
