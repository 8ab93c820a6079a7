"""
How a replay goes on: how much of it may be begun now, and what its next piece is.

The rule: a replay takes what is left over. It adds nothing while anything that it made still waits
for its turn, it never fills more than half of its endpoint's window, and all replays together keep
to a share of the slots; so a new event finds a free place, whoever else is being served.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

# Of one replay, until their results are stored; and of these in one piece.
MOST_OUTSTANDING = 48
MOST_AT_ONCE = 16
SLOT_SHARE = 0.25
MOST_READ = 500
FIRST_REST = 0.01
LONGEST_REST = 0.1
REST_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order in which a replay goes: by time, and by id where times are equal."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a replay comes by; `fits` says that it may be sent, as far as its state decides."""

    position: Position
    event_type: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What a replay has made that is not over: `waiting` of `pending` are not in flight."""

    pending: int
    waiting: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Piece:
    """What is to be made, and up to where the replay has gone with it: past `looked` candidates."""

    ids: tuple[UUID, ...]
    reached: Position | None
    looked: int


NOTHING = Piece((), None, 0)


def piece_of(candidates: Sequence[Candidate], wanted: Collection[UUID], *, most: int) -> Piece:
    """The first `most` candidates that are `wanted`, and all that lies before and between them."""
    ids: list[UUID] = []
    reached: Position | None = None
    looked = 0
    for candidate in candidates:
        if len(ids) == most:
            break
        looked, reached = looked + 1, candidate.position
        if reached.id in wanted:
            ids.append(reached.id)
    return Piece(tuple(ids), reached, looked)


class Pace:
    """How fast one replay may go, as one daemon sees it; it begins slowly."""

    def __init__(self) -> None:
        self.rest = FIRST_REST
        self._size = 1
        self._added = 0
        self._share_wanted = 1.0

    def room(self, seen: Outstanding, *, free: int, slots: int, failing: bool) -> int:
        """
        How many may be added now.

        `free` is how far the endpoint's lane is from being half full; `slots` is this replay's part
        of those that all of them may hold. An endpoint that is `failing` is sent one at a time.
        """
        if seen.waiting:
            self._size = max(1, self._size // 2)
            self._added = 0
            return 0
        if self._added >= self._size:  # all of it was taken by this look: it can bear more
            self._size = min(MOST_AT_ONCE, self._size * 2)
        self._added = 0
        most = 1 if failing else min(MOST_OUTSTANDING, slots)
        least = 0 if seen.pending else 1  # or an endpoint that is always busy would never have any
        return max(0, min(self._size, most - seen.pending, max(least, free)))

    def to_read(self, room: int, most: int = MOST_READ) -> int:
        """How many candidates to read to fill the room, going by how many were wanted last."""
        return max(1, min(most, ceil(room / max(self._share_wanted, 1 / MOST_READ))))

    def made(self, piece: Piece) -> None:
        """Learn from what was made: when to look again, and how much of what is read is wanted."""
        self._added = len(piece.ids)
        self._share_wanted = len(piece.ids) / piece.looked
        self.rest = FIRST_REST

    def waited(self) -> None:
        """There was nothing to do: look less often, while that is so."""
        self.rest = min(LONGEST_REST, self.rest * REST_GROWTH)


# Behind every id of the moment before: what is of `from_time` itself is still to come.
LAST_ID = UUID(int=2**128 - 1)


MOMENT = timedelta(microseconds=1)
