"""When lanes come due: a heap of times, with at most one valid entry for each lane."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from math import inf

from daemon.core.model.ids import WebhookId

MAX_STALE_ENTRIES = 10_000  # an earlier time leaves the later entry of its lane behind


class Calendar:
    """
    The earliest known due time of each lane that is not due yet.

    Times are seconds on the caller's clock. A lane that is scheduled again keeps its earlier time.
    """

    def __init__(self) -> None:
        self._due_at: dict[WebhookId, float] = {}
        self._heap: list[tuple[float, WebhookId]] = []

    def schedule(self, webhook_id: WebhookId, due_at: float) -> None:
        """Remember that this lane comes due; an earlier time that is known already stays."""
        if due_at < self._due_at.get(webhook_id, inf):
            self._due_at[webhook_id] = due_at
            heappush(self._heap, (due_at, webhook_id))

    def pop_due(self, now: float) -> Iterator[WebhookId]:
        """Remove and yield the lanes whose time has come, the earliest first."""
        while self._heap and self._heap[0][0] <= now:
            due_at, webhook_id = heappop(self._heap)
            if self._due_at.get(webhook_id) == due_at:
                del self._due_at[webhook_id]
                yield webhook_id

    def is_due(self, now: float) -> bool:
        """Whether `pop_due` may yield a lane."""
        return bool(self._heap) and self._heap[0][0] <= now

    def next_in(self, now: float) -> float | None:
        """Seconds until the next lane comes due, 0 at least; None when none is scheduled."""
        return max(0.0, self._heap[0][0] - now) if self._heap else None

    def compact(self) -> None:
        """Drop outdated entries once they are many."""
        if len(self._heap) > MAX_STALE_ENTRIES + 2 * len(self._due_at):
            self._heap = [(due_at, webhook_id) for webhook_id, due_at in self._due_at.items()]
            heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)
