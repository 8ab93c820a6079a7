"""
Postponed attempts: when their lanes go on, and that no fault of our own lasts unnoticed.

A postponed attempt is made again as if nothing had been, and its owner sees nothing. When one
delivery waits like this for longer than the schedule's longest step, the operator is alerted.
"""

import time
from collections.abc import Mapping
from datetime import timedelta

import structlog

from daemon.core.errors import PostponedError, ShortageError
from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId
from daemon.pipeline.lane_rests import LaneRests
from daemon.pipeline.postponement_lines import PostponementLines

log = structlog.get_logger()

# While a fault lasts, one line in this time is enough.
ALERT_INTERVAL_SECONDS = 600.0
# A delivery not postponed again by then was made, deleted or paused, here or by another daemon.
FORGET_AFTER_SECONDS = 600.0
# The oldest are kept, which are the ones that matter.
MAX_REMEMBERED = 10_000
# A lane that is short of something rests for up to a minute before it is tried again.
SHORTAGE_SECONDS = 90.0


class Postponements:
    """Remembers since when each delivery has been postponed, by this daemon."""

    def __init__(self, *, alert_after: timedelta) -> None:
        self._alert_after_seconds = alert_after.total_seconds()
        # First and last time, in the order of the first.
        self._times: dict[DeliveryId, tuple[float, float]] = {}
        self._alerted_at = float("-inf")
        self._shortage = ("", float("-inf"))  # the last, and its time
        self._rests = LaneRests()
        self._lines = PostponementLines()

    def postponed(self, claim: Claim, error: PostponedError) -> float:
        """
        Note and log one more postponement, as an error if this has gone on for too long.

        Returns until when the lane rests, a time of `time.monotonic`.
        """
        now, reason = time.monotonic(), str(error)
        if isinstance(error, ShortageError):
            self._shortage = (reason, now)
        self._lines.postponed(claim, reason=reason, now=now)
        self._note(claim, reason, now)
        return self._rests.begin(claim.webhook_id, least_seconds=error.pause_seconds, now=now)

    def renamed(self, ids: Mapping[DeliveryId, DeliveryId]) -> None:
        """Note new ids of deliveries, by the old ones."""
        if not ids.keys().isdisjoint(self._times):
            self._times = {ids.get(old, old): times for old, times in self._times.items()}

    def ended(self, claim: Claim) -> None:
        """Note that an attempt was made."""
        self._rests.end(claim.webhook_id)
        if self._times:
            self._times.pop(claim.delivery_id, None)

    def shortage(self) -> str | None:
        """Return what this machine lately had too little of, as a sentence; None if of nothing."""
        reason, at = self._shortage
        return reason if time.monotonic() - at < SHORTAGE_SECONDS else None

    def oldest_seconds(self) -> float:
        """Return for how long the first of the postponed deliveries has been, 0 without any."""
        now = time.monotonic()
        while self._times:
            delivery_id, (first, last) = next(iter(self._times.items()))
            if now - last < FORGET_AFTER_SECONDS:
                return now - first
            del self._times[delivery_id]
        return 0.0

    def _note(self, claim: Claim, reason: str, now: float) -> None:
        first, _ = self._times.get(claim.delivery_id, (now, now))
        if claim.delivery_id in self._times or len(self._times) < MAX_REMEMBERED:
            self._times[claim.delivery_id] = (first, now)
        overdue = now - first > self._alert_after_seconds
        if overdue and now - self._alerted_at >= ALERT_INTERVAL_SECONDS:
            self._alerted_at = now
            log.error(
                "delivery.postponed_too_long",
                delivery_id=str(claim.delivery_id),
                webhook_id=str(claim.webhook_id),
                postponed_s=round(now - first),
                reason=reason,
            )
