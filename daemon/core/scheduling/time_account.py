"""
An account of time that owners share: when the next of them may begin, and whose turn it is.

What is spent within the share is paid by the time that passes. What comes on top is a debt of its
owner, for which others wait in part only. Owners that recently spent little come first.
"""

import math
from collections.abc import Hashable

from daemon.core.scheduling.recent_use import RecentUse

# Owners whose recent time differs by less than this have it in turn.
STEP_SECONDS = 0.005


class TimeAccount:
    """
    Balances of all and of each owner, in seconds; `now` is the caller's clock.

    `share` of the time that passes may be spent, and `at_once` before anybody waits. All wait for
    `owed_by_all` beyond that at most; an owner owes `most_owed` at most for what it spends at once.
    """

    def __init__(
        self,
        share: float,
        *,
        at_once: float,
        owed_by_all: float,
        most_owed: float = math.inf,
        now: float,
    ) -> None:
        self._share = share
        self._at_once = at_once
        self._owed_by_all = owed_by_all
        self._most_owed = most_owed
        self._balance = at_once
        self._balance_at = now
        # When each owner with a debt has paid it.
        self._paid_at: dict[Hashable, float] = {}
        self._recent = RecentUse(STEP_SECONDS)

    def spend(self, owner: Hashable, seconds: float, *, now: float) -> None:
        """
        Note what an owner spent.

        While all wait, everything is a debt of its owner: one that goes on spending must not keep
        the others from beginning.
        """
        self._earn(now)
        self._recent.spend(owner, seconds, now=now)
        may_spend = self._balance + self._owed_by_all if self._balance >= 0 else 0.0
        overspent = min(max(0.0, seconds - may_spend), self._most_owed)
        self._balance -= min(seconds, may_spend)
        if overspent > 0:
            self._forget_paid_debts(now)
            self._paid_at[owner] = max(self._paid_at.get(owner, now), now) + overspent / self._share

    def wait(self, *, now: float) -> float:
        """The seconds until anybody may begin."""
        self._earn(now)
        return max(0.0, -self._balance / self._share)

    def wait_of(self, owner: Hashable, *, now: float) -> float:
        """The seconds until this owner has paid its own debt."""
        return max(0.0, self._paid_at.get(owner, now) - now)

    def recent(self, owner: Hashable, *, now: float) -> int:
        """What an owner has recently spent, in steps: the one with the least comes first."""
        return self._recent.steps(owner, now=now)

    def _earn(self, now: float) -> None:
        earned = (now - self._balance_at) * self._share
        self._balance = min(self._balance + earned, self._at_once)
        self._balance_at = now

    def _forget_paid_debts(self, now: float) -> None:
        for owner in [each for each, paid_at in self._paid_at.items() if paid_at <= now]:
            del self._paid_at[owner]
