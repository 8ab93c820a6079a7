"""
Loops that survive a lost database and their own faults, and end when the daemon stops.

Only this edge catches every exception. Heartbeats record when each loop last completed a run, and
since when it has failed.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from daemon.core.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    ReadOnlyDatabaseError,
    StatementTimeoutError,
)

log = structlog.get_logger()

SHORTEST_BACK_OFF = 0.05
LONGEST_BACK_OFF = 1.0


class Loop(Protocol):
    """Work to repeat: `run_once` returns how many seconds to sleep; `wake` ends a sleep."""

    name: str
    wake: asyncio.Event

    async def run_once(self) -> float: ...


@dataclass(frozen=True, slots=True)
class LoopState:
    """
    How a loop is doing, in seconds.

    `success_age` counts from its last successful run, `run_age` from the last run that ended, well
    or not; `failing_for` from the first failure since the last success, 0 if there was none.
    """

    success_age: float
    run_age: float
    failing_for: float


class Heartbeats:
    """The successes and failures of each loop, on the event loop's clock."""

    def __init__(self) -> None:
        self._succeeded_at: dict[str, float] = {}
        self._ran_at: dict[str, float] = {}
        self._failing_since: dict[str, float] = {}
        self._read_only: dict[str, str] = {}

    def succeeded(self, name: str) -> None:
        """Record a run that ended well, or the loop's start."""
        self._succeeded_at[name] = self._ran_at[name] = _now()
        self._failing_since.pop(name, None)
        self._read_only.pop(name, None)

    @property
    def read_only(self) -> str | None:
        """Why loops cannot write to the database, a sentence; None if they can."""
        return next(iter(self._read_only.values()), None)

    def failed(self, name: str, error: Exception | None = None) -> None:
        """Record a run that raised."""
        if isinstance(error, ReadOnlyDatabaseError):
            self._read_only[name] = str(error)
        self._ran_at[name] = now = _now()
        self._failing_since.setdefault(name, now)

    def ages(self) -> dict[str, float]:
        """Seconds since each loop's last successful run."""
        return {name: state.success_age for name, state in self.states().items()}

    def states(self) -> dict[str, LoopState]:
        """Every loop that has started, by its name."""
        now = _now()
        return {
            name: LoopState(
                success_age=now - succeeded_at,
                run_age=now - self._ran_at[name],
                failing_for=now - self._failing_since.get(name, now),
            )
            for name, succeeded_at in self._succeeded_at.items()
        }


async def run_loop(loop: Loop, *, stop: asyncio.Event, heartbeats: Heartbeats) -> None:
    """
    Run `loop` until `stop` is set; the caller sets `loop.wake` after it.

    A run that raises is logged and repeated after 50 ms, doubling up to a second.
    """
    back_off = 0.0
    heartbeats.succeeded(loop.name)
    while not stop.is_set():
        loop.wake.clear()  # before the run: a wake during it must survive
        try:
            rest = await loop.run_once()
        except Exception as error:  # noqa: BLE001  the edge of a loop: one bad run must not end it
            rest = back_off = min(LONGEST_BACK_OFF, back_off * 2) or SHORTEST_BACK_OFF
            known = heartbeats.read_only is not None
            heartbeats.failed(loop.name, error)
            _log_failure(
                loop.name, error, first=back_off == SHORTEST_BACK_OFF, known_read_only=known
            )
        else:
            if back_off:
                log.info("loop.recovered", loop=loop.name)
            back_off = 0.0
            heartbeats.succeeded(loop.name)
        if rest > 0:
            await sleep_until_woken(loop.wake, rest)


async def sleep_until_woken(wake: asyncio.Event, seconds: float) -> None:
    """Sleep for `seconds`, or until `wake` is set."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass


def _now() -> float:
    return asyncio.get_running_loop().time()


def _log_failure(
    name: str, error: Exception, *, first: bool, known_read_only: bool = False
) -> None:
    """
    A database that is away is logged once; a fault of ours each time, with its traceback.

    One that is read-only is logged once for all loops together.
    """
    if isinstance(error, ReadOnlyDatabaseError):
        if not known_read_only:
            log.warning("database.read_only", reason=str(error))
    elif not isinstance(error, DatabaseUnavailableError):
        log.error("loop.failed", loop=name, exc_info=error)
    elif first:
        log.warning(_database_event(error), loop=name, reason=str(error))


def _database_event(error: DatabaseUnavailableError) -> str:
    if isinstance(error, DatabaseBusyError):
        return "database.busy"
    # What PostgreSQL itself cancelled may have waited for a lock; by the client's clock it is lost.
    answered = isinstance(error, StatementTimeoutError)
    if answered and not isinstance(error.__cause__, TimeoutError):
        return "database.busy"
    return "database.lost"
