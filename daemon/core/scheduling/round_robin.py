"""
What waits in turn by owner: each owner's items in order, and the owners one after another.

The rule: an owner with many items delays another owner's next one by a single item.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
_NOBODY = object()


def _any(_owner: Hashable) -> bool:
    return True


class RoundRobin(Generic[T]):
    """Items of owners; an owner whose item was taken is behind all others."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[T]] = {}

    def __len__(self) -> int:
        """How many items wait."""
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        """Whether any item waits."""
        return bool(self._waiting)

    @property
    def owners(self) -> Iterable[Hashable]:
        """The owners of what waits, in turn."""
        return self._waiting.keys()

    def count(self, owner: Hashable) -> int:
        """How many items of this owner wait."""
        return len(self._waiting.get(owner, ()))

    def add(self, owner: Hashable, item: T) -> None:
        """Put an item behind all others of its owner."""
        self._waiting.setdefault(owner, deque()).append(item)

    def add_first(self, owner: Hashable, item: T) -> None:
        """Put an item before all others of its owner, whose turn comes when it would have."""
        self._waiting.setdefault(owner, deque()).appendleft(item)

    def take(self, may_have: Callable[[Hashable], bool] = _any) -> tuple[Hashable, T] | None:
        """Remove the first item of the first owner that may have its turn; None without one."""
        for owner in self._waiting:
            if may_have(owner):
                return owner, self._take_of(owner)
        return None

    def take_least(
        self,
        cost: Callable[[Hashable], float],
        may_have: Callable[[Hashable], bool],
        *,
        among: int | None = None,
    ) -> tuple[Hashable, T] | None:
        """
        As `take`, from the owner with the least cost; of equal ones, from the first.

        If so many are given, only the first owners are compared.
        """
        owner = min(filter(may_have, islice(self._waiting, among)), key=cost, default=_NOBODY)
        return None if owner is _NOBODY else (owner, self._take_of(owner))

    def _take_of(self, owner: Hashable) -> T:
        own = self._waiting.pop(owner)
        item = own.popleft()
        if own:
            self._waiting[owner] = own  # behind all others
        return item

    def discard(self, owner: Hashable, is_obsolete: Callable[[T], bool]) -> None:
        """Remove the first items of this owner that are obsolete, up to one that is not."""
        own = self._waiting.get(owner, deque())
        while own and is_obsolete(own[0]):
            own.popleft()
        if not own:
            self._waiting.pop(owner, None)
