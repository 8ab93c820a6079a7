"""
Goes through the endpoints with anything pending, by their ids; it always advances.

What one webhook has pending may be in a transaction that stays open, or be dead and not vacuumed:
millions of index entries, which a scan passes before it finds the next webhook. The rule: such a
webhook is found, passed over, and looked at apart; it costs others a part of a second at most.
"""

import time
from datetime import timedelta
from uuid import UUID

import structlog

from daemon.core.model.cursor import FIRST_ID, LAST_ID
from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.slow_webhooks import SlowWebhooks
from daemon.store.lanes import DueLane, due_lanes_of, sweep_lanes, webhooks_after
from daemon.store.session import Connection

log = structlog.get_logger()

# Webhooks that are looked at by their ids, after a scan took too long.
FIRST_BY_ID, MOST_BY_ID = 250, 4000
QUICK_SECONDS = 0.03
FEWER = 16  # times, of those that took too long together


class LaneSearch:
    """One sweep after the other; each `look` is at one piece, and advances or narrows."""

    def __init__(self) -> None:
        self.begins = True  # whether the next piece is the first of a sweep
        self.found_any = True  # in the last sweep, or in this one: anything pending
        self._after: UUID = FIRST_ID
        self._by_id: int | None = None  # how many, while a scan would take too long
        self._found_in_sweep = False
        self._slow = SlowWebhooks()

    def begin_again(self) -> None:
        """Begin a sweep with the next piece."""
        self._after, self._by_id, self._found_in_sweep, self.begins = FIRST_ID, None, False, True

    async def look(self, db: Connection, *, limit: int, soon: timedelta) -> list[DueLane]:
        """
        Look at the next endpoints, up to `limit`; return those with anything due `soon`.

        `begins` is true after the last piece of a sweep. Call outside a transaction.
        """
        self.begins = False
        now = time.monotonic()
        slow = self._slow.first_after(self._after)
        while slow is not None and slow.int == self._after.int + 1:
            if not self._slow.is_to_be_passed(slow, now=now):
                return await self._look_at([slow], db, soon=soon)
            self._after, self._found_in_sweep = slow, True
            slow = self._slow.first_after(slow)
        through = LAST_ID if slow is None else UUID(int=slow.int - 1)
        if self._by_id is None:
            return await self._scan(db, through=through, limit=limit, soon=soon)
        return await self._look_by_id(db, self._by_id, through=through, soon=soon)

    async def _scan(
        self, db: Connection, *, through: UUID, limit: int, soon: timedelta
    ) -> list[DueLane]:
        # While nothing is pending, nobody waits for what a long statement would find.
        swept = await sweep_lanes(
            *(db, self._after),
            through=through,
            limit=limit,
            soon=soon,
            is_limited=self.found_any,
        )
        if swept is None:
            self.found_any = self._found_in_sweep = True
            self._by_id = FIRST_BY_ID
            return []
        self._found_in_sweep = self._found_in_sweep or swept.last is not None
        if swept.last is None or swept.looked_at < limit:
            self._end_at(through)
        else:
            self._after = swept.last
        return swept.due

    async def _look_by_id(
        self, db: Connection, count: int, *, through: UUID, soon: timedelta
    ) -> list[DueLane]:
        ids = await webhooks_after(db, after=self._after, through=through, limit=count)
        due = await self._look_at(ids, db, soon=soon)
        if len(ids) < count and self._after == (ids[-1] if ids else self._after):
            self._end_at(through)
        return due

    async def _look_at(
        self, ids: list[WebhookId], db: Connection, *, soon: timedelta
    ) -> list[DueLane]:
        """Look at these; if that takes too long, look at fewer next time, or pass the only one."""
        self._found_in_sweep = True
        if not ids:
            return []
        began = time.monotonic()
        due = await due_lanes_of(db, ids, soon=soon)
        now = time.monotonic()
        if due is None and len(ids) > 1:
            self._by_id = max(1, len(ids) // FEWER)
            return []
        self._after = ids[-1]
        if due is None:
            self._slow.note(ids[0], now=now)
            self._by_id = None
            log.warning("lane_sync.webhook_passed", webhook_id=str(ids[0]))
            return []
        if len(ids) == 1:
            self._slow.forget(ids[0])
        if self._by_id is not None and now - began < QUICK_SECONDS:
            self._by_id = min(2 * self._by_id, MOST_BY_ID)
        return due

    def _end_at(self, through: UUID) -> None:
        """All up to here were looked at: the sweep goes on behind it, or ends."""
        self._after, self._by_id = through, None
        if through == LAST_ID:
            self.found_any = self._found_in_sweep
            self.begin_again()
