"""The bell: whoever learns that something waits for an endpoint rings it, and the worker wakes."""

import asyncio
import time
from datetime import datetime

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.lanes import Lanes


class LaneWaker:
    """Tells the lanes, then the worker. `wake` is the worker's."""

    def __init__(self, lanes: Lanes) -> None:
        self.wake = asyncio.Event()
        self._lanes = lanes

    def announce(
        self,
        webhook_id: WebhookId,
        due_in: float,
        since: datetime | None,
        *,
        failing: bool = False,
    ) -> None:
        """
        Something waits for this endpoint, `due_in` seconds from now.

        `since` is its time in the database, where the claim may begin to look; None if not known.
        `failing` makes a lane that is not known yet begin narrow.
        """
        now = time.monotonic()
        self._lanes.mark_due(webhook_id, now + due_in, since, now=now, failing=failing)
        self.wake.set()
