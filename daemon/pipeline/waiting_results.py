"""
Results that wait to be stored, by tenant.

The rule: a transaction takes results of all tenants in turn, up to a number of bytes. So the large
ones of one tenant delay the small ones of another by one transaction at most.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from daemon.core.model.attempts import (
    AttemptResult,
    Claim,
    ClaimKey,
    Response,
    header_characters,
)
from daemon.core.model.ids import TenantId
from daemon.core.model.value import value

MOST_BYTES = 8 * 1024 * 1024  # that one transaction writes
# Data too large to be sent are deleted, which takes as long. They were measured by stored bytes,
# of which six may print as one.
STORED_PER_MEASURED = 6


@value(frozen=True, slots=True)
class WaitingResult:
    """A result, and when it came, by the monotonic clock."""

    arrived: float
    result: AttemptResult


def stored_bytes(result: AttemptResult) -> int:
    """About how many bytes are written to store a result, its next attempt included."""
    claim, verdict, response = result.claim, result.verdict, result.outcome.result
    size = claim.payload_bytes or 0
    if verdict.too_large:
        return min(STORED_PER_MEASURED * size, MOST_BYTES)
    if verdict.retry_in is not None:
        size *= 2
    if isinstance(response, Response):
        size += len(response.body) + header_characters(response.headers)
    return size


def renewed(result: AttemptResult, leases: Mapping[ClaimKey, datetime]) -> AttemptResult:
    """Return the result with the new lease of its claim, if that is among these."""
    leased_until = leases.get(result.claim.key)
    if leased_until is None:
        return result
    return replace(result, claim=replace(result.claim, leased_until=leased_until))


class WaitingResults:
    """Queues by tenant, which take turns."""

    def __init__(self) -> None:
        self._queues: dict[TenantId, deque[WaitingResult]] = {}  # in the order of their turns
        self._count = 0
        self._taken_of: Counter[TenantId] = Counter()

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    def of_tenant(self, tenant_id: TenantId) -> int:
        """How many of this tenant wait, and were taken in the present turn."""
        return len(self._queues.get(tenant_id, ())) + self._taken_of.get(tenant_id, 0)

    def add(self, result: AttemptResult) -> None:
        """Add a result that has come now."""
        waiting = WaitingResult(time.monotonic(), result)
        queue = self._queues.get(result.claim.tenant_id)
        if queue is None:
            queue = self._queues[result.claim.tenant_id] = deque()
        queue.append(waiting)
        self._count += 1

    def put_back(self, results: Iterable[WaitingResult]) -> None:
        """Put results back that were taken, in the order in which they were."""
        for waiting in reversed(list(results)):
            tenant_id = waiting.result.claim.tenant_id
            self._queues.setdefault(tenant_id, deque()).appendleft(waiting)
            self._count += 1

    def claims(self) -> list[Claim]:
        """The claims of pending rows among those of the results that wait."""
        results = (each.result for queue in self._queues.values() for each in queue)
        return [each.claim for each in results if not each.claim.from_inbox]

    def renew(self, leases: Mapping[ClaimKey, datetime]) -> None:
        """Note the new leases of claims."""
        for queue in self._queues.values():
            for index, each in enumerate(queue):
                queue[index] = replace(each, result=renewed(each.result, leases))

    def oldest(self) -> float | None:
        """When the result came that has waited for longest; None if none waits."""
        return min((queue[0].arrived for queue in self._queues.values()), default=None)

    def take(self, most: int) -> list[WaitingResult]:
        """Remove and return up to `most` results of MOST_BYTES together; a larger one alone."""
        taken: list[WaitingResult] = []
        left = MOST_BYTES
        while self._queues and len(taken) < most:
            tenant_id = next(iter(self._queues))
            queue = self._queues[tenant_id]
            left -= stored_bytes(queue[0].result)
            if taken and left < 0:
                break
            taken.append(queue.popleft())
            self._taken_of[tenant_id] += 1
            del self._queues[tenant_id]
            if queue:
                self._queues[tenant_id] = queue  # its next turn comes after the others'
        self._count -= len(taken)
        return taken

    def end_turn(self) -> None:
        """Note that what was taken is stored, or was put back."""
        self._taken_of.clear()
