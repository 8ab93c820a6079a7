"""
How many failed attempts of one webhook are logged: the first of each minute; others are counted.

An endpoint that fails thousands of times says the same each time, and would hide what others do.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from daemon.core.model.attempts import Claim
from daemon.core.model.ids import WebhookId

MOST_OF_ONE = 20
PERIOD_SECONDS = 60.0


class FailureLines:
    """Call it inside the running loop; `report` gets a claim, and how many were not logged."""

    def __init__(self, report: Callable[[Claim, int], None]) -> None:
        self._report = report
        self._failures: Counter[WebhookId] = Counter()
        self._unlogged: dict[WebhookId, Claim] = {}
        self._timer: asyncio.TimerHandle | None = None

    def admits(self, claim: Claim) -> bool:
        """Count a failed attempt; whether it is to be logged."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_SECONDS, self.end)
        self._failures[claim.webhook_id] += 1
        if self._failures[claim.webhook_id] <= MOST_OF_ONE:
            return True
        self._unlogged[claim.webhook_id] = claim
        return False

    def end(self) -> None:
        """End the minute: report what was not logged, and begin to count again."""
        if self._timer is not None:
            self._timer.cancel()
        unlogged, failures = self._unlogged, self._failures
        self._timer, self._unlogged, self._failures = None, {}, Counter()
        for webhook_id, claim in unlogged.items():
            self._report(claim, failures[webhook_id] - MOST_OF_ONE)
