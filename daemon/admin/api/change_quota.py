"""
How many changes a tenant may make in a day: each is a record of the audit, which keeps it for long.

The rule: a change that was made has its record, so that only fewer changes make fewer records.
Operators are trusted, and never refused.
"""

import math
import time
from collections.abc import Callable

from daemon.admin.api.problems import Problem
from daemon.core.model.audit import ActorKind, AuditRecord
from daemon.core.scheduling.daily_quota import DailyQuota


class ChangeQuota:
    """Counts the recorded changes of each tenant's own tokens and links; 0 is no limit."""

    def __init__(self, per_day: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = DailyQuota(per_day)
        self._clock = clock

    def require_room(self, record: AuditRecord) -> None:
        """Raises Problem (429) if the tenant that asks has made the changes of a day."""
        if record.actor.kind is not ActorKind.TENANT:
            return
        if wait := self._quota.wait(record.tenant_id, 1, now=self._clock()):
            raise Problem(
                429,
                "this tenant has made as many changes as it may in a day",
                headers={"Retry-After": str(math.ceil(wait))},
            )

    def note(self, record: AuditRecord) -> None:
        """Count a change that was made."""
        if record.actor.kind is ActorKind.TENANT:
            self._quota.note(record.tenant_id, 1, now=self._clock())
