"""
How long each owner has recently used something; its weight decays exponentially.

The rule: owners that used little come before those that used much, however many the latter are.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

HALF_LIFE_SECONDS = 5.0
MOST_OWNERS = 1000  # that are remembered
# Owners that used more are equal, and come in turn: one that used much before many others began
# need not wait until each of them has used as much.
MOST_STEPS = 12


@dataclass(slots=True)
class _Use:
    seconds: float
    at: float
    held: int = 0

    def advance(self, now: float, *, most: float) -> None:
        elapsed = now - self.at
        faded = min(self.seconds, most) * 0.5 ** (elapsed / HALF_LIFE_SECONDS)
        self.seconds = min(faded + self.held * elapsed, most)
        self.at = now


class RecentUse:
    """
    The use of owners, each of which may hold several at once; times are the caller's clock.

    Owners whose use differs by less than `step_seconds` are equal.
    """

    def __init__(self, step_seconds: float) -> None:
        self._step_seconds = step_seconds
        self._most = MOST_STEPS * step_seconds
        self._uses: OrderedDict[Hashable, _Use] = OrderedDict()

    def change(self, owner: Hashable, held: int, *, now: float) -> None:
        """Note that an owner holds so many more, or fewer if negative."""
        self._use_of(owner, now).held += held

    def spend(self, owner: Hashable, seconds: float, *, now: float) -> None:
        """Note that an owner has just used it for so long."""
        self._use_of(owner, now).seconds += seconds

    def steps(self, owner: Hashable, *, now: float) -> int:
        """The recent use of an owner, in steps, up to MOST_STEPS."""
        use = self._uses.get(owner)
        if use is None:
            return 0
        use.advance(now, most=self._most)
        return int(use.seconds / self._step_seconds)

    def _use_of(self, owner: Hashable, now: float) -> _Use:
        use = self._uses.setdefault(owner, _Use(0.0, now))
        use.advance(now, most=self._most)
        self._uses.move_to_end(owner)
        if len(self._uses) > MOST_OWNERS:
            self._forget_first()
        return use

    def _forget_first(self) -> None:
        first = next((owner for owner, use in self._uses.items() if not use.held), None)
        if first is not None:
            del self._uses[first]
