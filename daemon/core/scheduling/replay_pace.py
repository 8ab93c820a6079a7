"""
The pace of a replay: how many deliveries may be added now, and which candidates are the next batch.

The rule: a replay takes what is left over. It adds nothing while a delivery that it made still
waits for its turn, it never fills more than half of its endpoint's window, and all replays together
hold at most a share of the slots; so a new event finds a free slot, whichever endpoint is busy.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil, inf
from uuid import UUID

from daemon.core.model.cursor import Cursor

MAX_OUTSTANDING = 48  # deliveries of one replay without a stored result
MAX_BATCH = 16
MAX_READ = 500
SLOT_SHARE = 0.25
MIN_REST_SECONDS = 0.01
MAX_REST_SECONDS = 0.1
REST_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A row that a replay reads: an event, or an attempt.

    `eligible` says that its state allows it to be sent; its type and data are still to be matched.
    Its data take `stored_bytes` in the database.
    """

    cursor: Cursor
    event_type: str
    eligible: bool
    stored_bytes: int = 0

    def left_out(self) -> "Candidate":
        """The same, but not to be sent."""
        return replace(self, eligible=False)


@dataclass(frozen=True, slots=True)
class Outstanding:
    """
    The deliveries that a replay has made and that are pending; `waiting` of them are not in flight.

    `oldest` is the earliest due time among them.
    """

    pending: int
    waiting: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The candidates to send next; `end` is the last of the `read` candidates passed with them."""

    ids: tuple[UUID, ...]
    end: Cursor | None
    read: int


EMPTY_BATCH = Batch((), None, 0)


def before(candidates: Sequence[Candidate], held: Collection[UUID]) -> Sequence[Candidate]:
    """The candidates before the first whose id is among `held`."""
    for place, candidate in enumerate(candidates):
        if candidate.cursor.id in held:
            return candidates[:place]
    return candidates


def next_batch(
    candidates: Sequence[Candidate], wanted: Collection[UUID], *, most: int, most_bytes: float = inf
) -> Batch:
    """
    The first `most` candidates that are `wanted`, with all that precede them in the list.

    Fewer if they have more than `most_bytes` of data, but one at least.
    """
    ids: list[UUID] = []
    end: Cursor | None = None
    read, size = 0, 0
    for candidate in candidates:
        if len(ids) == most:
            break
        if candidate.cursor.id in wanted:
            size += candidate.stored_bytes
            if ids and size > most_bytes:
                break
            ids.append(candidate.cursor.id)
        read, end = read + 1, candidate.cursor
    return Batch(tuple(ids), end, read)


class Pace:
    """How fast one replay may go, as one daemon observes it; it begins slowly."""

    def __init__(self) -> None:
        self.rest_seconds = MIN_REST_SECONDS
        self._size = 1
        self._added = 0
        self._wanted_share = 1.0

    def room(self, outstanding: Outstanding, *, free: int, slots: int, failing: bool) -> int:
        """
        How many deliveries may be added now.

        `free` is how many more attempts fill half of the endpoint's window; `slots` is this
        replay's part of the slots for all replays. An endpoint that is `failing` gets one at a
        time.
        """
        if outstanding.waiting:
            self._size = max(1, self._size // 2)
            self._added = 0
            return 0
        if self._added >= self._size:  # the last batch was taken up at once: there is more room
            self._size = min(MAX_BATCH, self._size * 2)
        self._added = 0
        most = min(1 if failing else MAX_OUTSTANDING, slots)
        # One at least, or an endpoint that is always busy would never get any.
        least = 0 if outstanding.pending else 1
        return max(0, min(self._size, most - outstanding.pending, max(least, free)))

    def to_read(self, room: int, most: int = MAX_READ) -> int:
        """How many candidates to read to fill `room`, by the share that was wanted last time."""
        return max(1, min(most, ceil(room / max(self._wanted_share, 1 / MAX_READ))))

    def added(self, batch: Batch) -> None:
        """Learn from a batch that was added, even one without ids."""
        self._added = len(batch.ids)
        self._wanted_share = len(batch.ids) / batch.read
        self.rest_seconds = MIN_REST_SECONDS

    def idle(self) -> None:
        """Rest longer: there was nothing to do."""
        self.rest_seconds = min(MAX_REST_SECONDS, self.rest_seconds * REST_GROWTH)
