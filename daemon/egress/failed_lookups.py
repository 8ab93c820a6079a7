"""
Lookups that failed, remembered for a short time, so that a dead name costs a slot once in a while.

Rule: the memory is short enough that a name which comes back is used again within seconds.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from daemon.egress.resolver import LookupFailedError

MAX_NAMES = 4096
FIRST_SECONDS = 5.0
FIRST_SECONDS_OF_WORKING_NAME = 1.0
LONGEST_SECONDS = 30.0
FRESH_AFTER_SECONDS = 300.0  # a failure so long after the last one is a first one again


@dataclass(frozen=True, slots=True)
class _Failure:
    error: LookupFailedError
    seconds: float
    until: float


class FailedLookups:
    """
    The lookups that failed the last time, by name, or by name and tenant.

    `now` is in seconds on the caller's clock.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[Hashable, _Failure] = OrderedDict()

    def get(self, key: Hashable, *, now: float) -> LookupFailedError | None:
        """A new error like the one that is remembered, if there is one."""
        failure = self._failures.get(key)
        if failure is None or now >= failure.until:
            return None
        self._failures.move_to_end(key)
        return type(failure.error)(*failure.error.args)

    def add(self, key: Hashable, error: LookupFailedError, *, now: float, worked: bool) -> None:
        """Remember a failure, twice as long as the one before; less at first if it `worked`."""
        seconds = FIRST_SECONDS_OF_WORKING_NAME if worked else FIRST_SECONDS
        before = self._failures.get(key)
        if before is not None and now < before.until + FRESH_AFTER_SECONDS:
            seconds = min(LONGEST_SECONDS, before.seconds * 2)
        self._failures[key] = _Failure(error, seconds, now + seconds)
        self._failures.move_to_end(key)
        if len(self._failures) > MAX_NAMES:
            self._failures.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Forget the failures of a name that works."""
        self._failures.pop(key, None)
