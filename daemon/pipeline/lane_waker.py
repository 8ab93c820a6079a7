"""Tells the lanes that an attempt is due, and wakes the dispatcher."""

import asyncio
import time
from datetime import datetime

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.lanes import Lanes


class LaneWaker:
    """Called by fan-out, retries, replays and notifications; `wake` is the dispatcher's."""

    def __init__(self, lanes: Lanes) -> None:
        self.wake = asyncio.Event()
        self._lanes = lanes

    def announce(
        self,
        webhook_id: WebhookId,
        due_in: float,
        since: datetime | None,
        *,
        tenant_id: TenantId,
        failing: bool = False,
        unspaced: bool = False,
    ) -> None:
        """
        Announce an attempt that is due for this endpoint in `due_in` seconds.

        `since` is its due time in the database, where the claim may begin to look; None if unknown.
        `failing` makes a lane that is not known yet begin narrow; `unspaced` ends the wait that
        `space` announced.
        """
        now = time.monotonic()
        self._lanes.mark_due(
            *(webhook_id, now + due_in, since),
            tenant_id=tenant_id,
            now=now,
            failing=failing,
            unspaced=unspaced,
        )
        self.wake.set()

    def space(self, webhook_id: WebhookId, wait_seconds: float) -> None:
        """Announce that this endpoint is failing: its next attempt begins after the wait."""
        now = time.monotonic()
        self._lanes.space(webhook_id, until=now + wait_seconds, now=now)
        self.wake.set()

    def freed(self, webhook_id: WebhookId) -> None:
        """Announce that an attempt in flight does not count for its endpoint's limit any more."""
        self._lanes.freed(webhook_id, now=time.monotonic())

    def announce_if_known(self, webhook_id: WebhookId) -> bool:
        """Announce an attempt that is due now, if the endpoint's tenant is known; else False."""
        tenant_id = self._lanes.tenant_of(webhook_id)
        if tenant_id is None:
            return False
        self.announce(webhook_id, 0.0, None, tenant_id=tenant_id, unspaced=True)
        return True
