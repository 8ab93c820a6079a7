"""
One channel of PostgreSQL's notifications, with a limit on how many are taken from it.

Any role may notify, as fast as it can, and each notification costs the event loop some time. So a
flooded channel is left alone for a while; the channel's reader polls meanwhile.
"""

import time
from collections.abc import Callable

Handler = Callable[[str], None]

# 10,000 webhooks that become due in one transaction, and some more. Each costs about 4 µs.
BURST = 12_000.0
PER_SECOND = 5_000.0
AFTER_PAUSE = 1_000.0  # at once: a flood that goes on is noticed soon
# A longer payload, which is none of ours, counts as several.
USUAL_LENGTH = 256
# Reading until a flood is noticed delays other events, so that tries to listen again become
# rare while it goes on.
PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0


class NotificationChannel:
    """Passes payloads on to `handler`, until there were too many of them; then none for a while."""

    def __init__(self, handler: Handler, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.pause_seconds = 0.0  # of the last pause
        self._handler = handler
        self._clock = clock
        self._balance = BURST
        self._balance_at = self._paused_until = clock()

    @property
    def is_paused(self) -> bool:
        """Whether the channel was flooded just now."""
        return self._clock() < self._paused_until

    def begin(self) -> None:
        """Note that the channel is listened to from now on."""
        self._balance = BURST if self.pause_seconds == 0 else min(AFTER_PAUSE, BURST)
        self._balance_at = self._clock()

    def receive(self, payload: str) -> bool:
        """Pass a payload on; False if that is one too many, and a pause begins."""
        now = self._clock()
        if now < self._paused_until:
            return True
        earned = (now - self._balance_at) * PER_SECOND
        self._balance = min(self._balance + earned, BURST) - 1 - len(payload) // USUAL_LENGTH
        self._balance_at = now
        if self._balance < 0:
            self._pause(now)
            return False
        self._handler(payload)
        return True

    def _pause(self, now: float) -> None:
        """Pause; for longer than the last time, if that was not long ago."""
        goes_on = now - self._paused_until < LONGEST_PAUSE_SECONDS
        longer = self.pause_seconds * 2 if goes_on else 0.0
        self.pause_seconds = min(max(longer, PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._paused_until = now + self.pause_seconds
