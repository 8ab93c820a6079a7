"""
The memory that unfinished long responses take together, within a limit.

An ordinary response needs no leave, however long its receiver takes for it. Rule: a longer one that
does not end is given up when many such are kept, the oldest of the tenant that has the most.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import TypeAlias

# As much as is kept of a complete response whose head is ASCII; heads of servers are shorter.
ORDINARY_BYTES = 32 * 1024
MOST_BYTES = 8 * 1024 * 1024

GIVEN_UP = "the receiver began a long response and did not end it, and its memory was needed"

GiveUp: TypeAlias = Callable[[str], None]


class LongResponses:
    """What is kept of unfinished long responses, by owner."""

    def __init__(self) -> None:
        self._total = 0
        self._kept: dict[Hashable, dict[GiveUp, int]] = {}  # each owner's in order

    def of(self, owner: Hashable) -> "OwnLongResponses":
        """Those of an owner."""
        return OwnLongResponses(self, owner)

    def note(self, owner: Hashable, give_up: GiveUp, size: int) -> None:
        """Count the bytes that are kept of a response; `give_up` may be called later, once."""
        own = self._kept.setdefault(owner, {})
        self._total += size - own.get(give_up, 0)
        own[give_up] = size
        while self._total > MOST_BYTES:
            self._give_up_oldest()

    def forget(self, owner: Hashable, give_up: GiveUp) -> None:
        """Count a response no more, if it is counted: it has ended."""
        own = self._kept.get(owner)
        if own is None or give_up not in own:
            return
        self._total -= own.pop(give_up)
        if not own:
            del self._kept[owner]

    def _give_up_oldest(self) -> None:
        owner = max(self._kept, key=lambda each: sum(self._kept[each].values()))
        oldest = next(iter(self._kept[owner]))
        self.forget(owner, oldest)
        # Not at once: another response is just being read.
        asyncio.get_running_loop().call_soon(oldest, GIVEN_UP)


class OwnLongResponses:
    """The long responses of one owner."""

    __slots__ = ("_all", "_owner")

    def __init__(self, everything: LongResponses, owner: Hashable) -> None:
        self._all = everything
        self._owner = owner

    def note(self, give_up: GiveUp, size: int) -> None:
        """Count the bytes that are kept of an unfinished response now, if they are many."""
        if size > ORDINARY_BYTES:
            self._all.note(self._owner, give_up, size)
        else:
            self.forget(give_up)

    def forget(self, give_up: GiveUp) -> None:
        """Count a response no more."""
        self._all.forget(self._owner, give_up)
