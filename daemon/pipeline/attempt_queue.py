"""
First attempts that wait in memory for their lanes' turns, within bounds by tenant and in all.

It is kept short: what waits here is known to this daemon alone.
"""

import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence

from daemon.core.model.attempts import Claim
from daemon.core.model.ids import TenantId, WebhookId

MOST_QUEUED = 4096
MOST_OF_TENANT = 1024
MOST_BYTES = 16 * 1024 * 1024
MOST_BYTES_OF_TENANT = 4 * 1024 * 1024
# While so many attempts wait, or more than a few while it takes so long, the events of the tenants
# that have more than their share of them stay in the inbox.
ENOUGH_QUEUED = 1024
FEW_QUEUED = 64
FEW_OF_TENANT = 16
ENOUGH_SECONDS = 0.1
SOON_SECONDS = 0.2
RATE_SECONDS = 0.1  # over which the rate is measured


class AttemptQueue:
    """Claims by webhook, the first ones first."""

    def __init__(self) -> None:
        self._queues: dict[WebhookId, deque[tuple[float, Claim]]] = {}
        self._count: Counter[TenantId] = Counter()
        self._bytes: Counter[TenantId] = Counter()
        self._total_bytes = 0
        self._total = 0
        self._waited_seconds = 0.0  # by the attempt that was taken last
        self._rate = 0.0  # of attempts that began, a second
        self._taken = 0
        self._counted_from = time.monotonic()

    def __len__(self) -> int:
        """How many wait."""
        return self._total

    @property
    def crowded(self) -> set[TenantId]:
        """
        The tenants whose next events should wait in the inbox: they would wait for longer here.

        Never one without attempts here: what another tenant has waiting does not concern it.
        """
        slow = self._waited_seconds > ENOUGH_SECONDS
        enough = FEW_QUEUED if slow else ENOUGH_QUEUED
        if self._total < enough:
            return set()
        few = few_of_each(enough, tenants=len(self._count))
        return {tenant_id for tenant_id, count in self._count.items() if count > few}

    @property
    def soon(self) -> int:
        """About how many attempts begin within SOON_SECONDS, as lately; FEW_QUEUED at least."""
        return max(FEW_QUEUED, int(self._rate * SOON_SECONDS))

    def of_tenant(self, tenant_id: TenantId) -> int:
        """How many of this tenant wait."""
        return self._count[tenant_id]

    def has_room(self, tenant_id: TenantId, size: int) -> bool:
        """Whether an attempt with so many bytes of data may be added."""
        return (
            self._total < MOST_QUEUED
            and self._total_bytes + size <= MOST_BYTES
            and self._count[tenant_id] < MOST_OF_TENANT
            and self._bytes[tenant_id] + size <= MOST_BYTES_OF_TENANT
        )

    def add(self, claim: Claim, *, now: float) -> None:
        """Add an attempt, at a time of the monotonic clock."""
        self._queues.setdefault(claim.webhook_id, deque()).append((now, claim))
        self._count_in(claim, 1)

    def take(self, webhook_id: WebhookId, limit: int) -> list[Claim]:
        """Remove and return up to `limit` of the webhook's attempts."""
        queue = self._queues.get(webhook_id, deque())
        now = time.monotonic()
        if queue:
            self._waited_seconds = now - queue[0][0]
        taken = [queue.popleft()[1] for _ in range(min(limit, len(queue)))]
        self._count_out(webhook_id, taken)
        self.note_begun(len(taken), now=now)
        return taken

    def take_older(self, since: float) -> Iterator[tuple[WebhookId, list[Claim]]]:
        """Remove and yield, by webhook, the attempts that were added before this time."""
        for webhook_id, queue in list(self._queues.items()):
            late: list[Claim] = []
            while queue and queue[0][0] < since:
                late.append(queue.popleft()[1])
            if late:
                self._count_out(webhook_id, late)
                yield webhook_id, late

    def take_of(
        self, tenants: Collection[TenantId] | None
    ) -> Iterator[tuple[WebhookId, list[Claim]]]:
        """Remove and yield, by webhook, the attempts of these tenants; None stands for all."""
        for webhook_id, queue in list(self._queues.items()):
            if tenants is None or queue[0][1].tenant_id in tenants:
                taken = [claim for _, claim in queue]
                queue.clear()
                self._count_out(webhook_id, taken)
                yield webhook_id, taken

    def note_begun(self, count: int, *, now: float) -> None:
        """Measure the rate: so many attempts begin, from here or without waiting."""
        self._taken += count
        seconds = now - self._counted_from
        if seconds >= RATE_SECONDS:
            self._rate = (self._rate + self._taken / seconds) / 2
            self._taken = 0
            self._counted_from += seconds

    def _count_in(self, claim: Claim, change: int) -> None:
        size = change * (claim.payload_bytes or 0)
        self._count[claim.tenant_id] += change
        self._bytes[claim.tenant_id] += size
        self._total += change
        self._total_bytes += size

    def _count_out(self, webhook_id: WebhookId, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._count_in(claim, -1)
            if not self._count[claim.tenant_id]:
                del self._count[claim.tenant_id], self._bytes[claim.tenant_id]
        if not self._queues.get(webhook_id):
            self._queues.pop(webhook_id, None)


def few_of_each(enough: int, *, tenants: int) -> int:
    """How many of each tenant may wait although enough wait in all."""
    return min(FEW_OF_TENANT, enough // max(1, tenants))
