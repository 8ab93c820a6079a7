"""
Places for requests that last, such as large bodies; each owner has a share of them.

The rule: an owner may hold a third as many as are free. So one that holds its places for as long as
it can leaves most to others, and several together leave some to the next. When they leave none, an
owner without any may have one of a reserve.
"""

from collections import Counter
from collections.abc import Hashable

from daemon.core.scheduling.slots import Share

SHARE = Share(1, 3)


class OwnedPlaces:
    """So many places in all, at most `most_of_one` for one owner, and a reserve beside them."""

    def __init__(self, total: int, *, most_of_one: int | None = None, reserve: int = 0) -> None:
        self._total = total
        self._reserve = reserve
        self._most_of_one = total if most_of_one is None else most_of_one
        self._held: Counter[Hashable] = Counter()

    @property
    def free(self) -> int:
        """How many are free, without the reserve."""
        return max(0, self._total - self._held.total())

    def has_most(self, owner: Hashable) -> bool:
        """Whether this owner has as many as one may have at all."""
        return self._held[owner] >= self._most_of_one

    def take(self, owner: Hashable) -> bool:
        """Take a place; False if this owner has its share. `give_back` follows if it is True."""
        held = self._held[owner]
        if held == 0:
            may_take = self._held.total() < self._total + self._reserve
        else:
            may_take = not self.has_most(owner) and SHARE.room(held=held, free=self.free) > 0
        if may_take:
            self._held[owner] = held + 1
        return may_take

    def give_back(self, owner: Hashable) -> None:
        """Give a place back."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
