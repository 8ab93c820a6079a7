"""A stopwatch for one attempt: how long it took, and how much of that in each stage."""

from collections.abc import Callable
from itertools import pairwise


class Timings:
    """Runs from the moment it is made; `clock` counts seconds."""

    __slots__ = ("_clock", "_entered", "began")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.began = clock()
        self._entered: list[tuple[str, float]] = []

    def enter(self, stage: str) -> None:
        """The stage before ends here."""
        self._entered.append((stage, self._clock()))

    def total_ms(self) -> int:
        return round((self._clock() - self.began) * 1000)

    def stages_ms(self) -> tuple[tuple[str, int], ...]:
        """Every stage so far, in the order they came; a stage that came twice counts together."""
        seconds: dict[str, float] = {}
        for (stage, began), (_, ended) in pairwise([*self._entered, ("", self._clock())]):
            seconds[stage] = seconds.get(stage, 0.0) + ended - began
        return tuple((stage, round(each * 1000)) for stage, each in seconds.items())
