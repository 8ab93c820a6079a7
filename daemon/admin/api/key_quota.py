"""
How many idempotency keys a tenant has: counted now and then, because counting reads every one.

The rule: a tenant cannot fill the disk with them. Daemons count apart, so that it may exceed its
limits by what it sends within a minute.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from daemon.core.model.idempotency import IdempotencyClaim, KeysInUse
from daemon.store import idempotency_keys
from daemon.store.session import Connection

FRESH_SECONDS = 60.0
FRESH_CLAIMS = 500
MOST_REMEMBERED = 10_000  # callers


@dataclass(slots=True)
class _Counted:
    keys: int
    answer_bytes: int
    counted_at: float
    claims: int = 0  # since then


class KeyQuota:
    """Says whether a caller may use another key."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted: OrderedDict[tuple[str, object], _Counted] = OrderedDict()

    async def has_room(self, db: Connection, claimed: IdempotencyClaim) -> bool:
        """Whether there is room for one more. Operators that name no tenant are not limited."""
        if claimed.tenant_id is None:
            return True
        counted = self._counted.get((claimed.caller, claimed.tenant_id))
        if counted is None or not self._is_fresh(counted):
            counted = self._remember(claimed, await idempotency_keys.in_use(db, claimed))
        return (
            counted.keys < idempotency_keys.MOST_KEYS
            and counted.answer_bytes < idempotency_keys.MOST_ANSWER_BYTES
        )

    def note(self, claimed: IdempotencyClaim, *, keys: int = 0, answer_bytes: int = 0) -> None:
        """Note a new key, or an answer that was stored."""
        if counted := self._counted.get((claimed.caller, claimed.tenant_id)):
            counted.keys += keys
            counted.claims += keys
            counted.answer_bytes += answer_bytes

    def _is_fresh(self, counted: _Counted) -> bool:
        age = self._clock() - counted.counted_at
        return age < FRESH_SECONDS and counted.claims < FRESH_CLAIMS

    def _remember(self, claimed: IdempotencyClaim, found: KeysInUse) -> _Counted:
        counted = _Counted(found.keys, found.answer_bytes, self._clock())
        self._counted[claimed.caller, claimed.tenant_id] = counted
        if len(self._counted) > MOST_REMEMBERED:
            self._counted.popitem(last=False)
        return counted
