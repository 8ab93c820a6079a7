"""
Places for requests that last, such as large bodies; each owner has a share of them.

The rule: an owner may hold a third as many as are free. So one that holds its places for as long as
it can leaves most to others, and several together leave some to the next.
"""

from collections import Counter
from collections.abc import Hashable

from daemon.core.scheduling.slots import Share

SHARE = Share(1, 3)


class OwnedPlaces:
    """So many places in all, and at most `most_of_one` for one owner."""

    def __init__(self, total: int, *, most_of_one: int | None = None) -> None:
        self._total = total
        self._most_of_one = total if most_of_one is None else most_of_one
        self._held: Counter[Hashable] = Counter()

    @property
    def free(self) -> int:
        """How many are free."""
        return self._total - self._held.total()

    def has_most(self, owner: Hashable) -> bool:
        """Whether this owner has as many as one may have at all."""
        return self._held[owner] >= self._most_of_one

    def take(self, owner: Hashable) -> bool:
        """Take a place; False if this owner has its share. `give_back` follows if it is True."""
        if self.has_most(owner) or not SHARE.room(held=self._held[owner], free=self.free):
            return False
        self._held[owner] += 1
        return True

    def give_back(self, owner: Hashable) -> None:
        """Give a place back."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
