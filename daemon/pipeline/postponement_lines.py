"""
Logs postponed attempts: one line for each reason in ten seconds, with the number of the others.

A fault of our own meets thousands of attempts at once, and all say the same.
"""

from dataclasses import dataclass

import structlog

from daemon.core.model.attempts import Claim

log = structlog.get_logger()

INTERVAL_SECONDS = 10.0
MAX_REASONS = 100


@dataclass(slots=True)
class _Reason:
    logged_at: float
    unlogged: int = 0


class PostponementLines:
    """The lines of one daemon."""

    def __init__(self) -> None:
        self._reasons: dict[str, _Reason] = {}

    def postponed(self, claim: Claim, *, reason: str, now: float) -> None:
        """Log this postponement, or count it for the next line."""
        last = self._reasons.get(reason)
        if last is not None and now - last.logged_at < INTERVAL_SECONDS:
            last.unlogged += 1
            return
        self._reasons.pop(reason, None)
        if len(self._reasons) >= MAX_REASONS:
            del self._reasons[next(iter(self._reasons))]
        self._reasons[reason] = _Reason(now)
        log.warning(
            "delivery.postponed",
            delivery_id=str(claim.delivery_id),
            webhook_id=str(claim.webhook_id),
            reason=reason,
            unlogged_before=0 if last is None else last.unlogged,
        )
