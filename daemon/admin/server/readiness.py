"""
Whether the daemon can do its work: the answer of `/readyz`, and the condition for the watchdog.

Nothing here asks the database. The loops do so all the time, and this reads how they fared: the
answer comes at once even while the database hangs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from daemon.core.wire.timestamps import rfc3339
from daemon.maintenance.hold_watch import HoldWatch
from daemon.maintenance.schema_watch import SchemaWatch
from daemon.runtime.loop import Heartbeats, LoopState

# Of these loops, one asks the database once a second, and the other every two seconds. Either may
# take long with a statement of its own.
ASKING_LOOPS = ("fanout", "lane_sync")
DATABASE_SILENCE_SECONDS = 3.0
# No loop sleeps longer than ten seconds, nor has a query that takes longer.
LOOP_SILENCE_SECONDS = 25.0
LOOP_FAILING_SECONDS = 5.0
MAX_LAG_SECONDS = 30.0
SHORTAGE_REMEDY = "docs/errors.md#faults-of-this-service"


@dataclass(frozen=True, slots=True)
class Lag:
    """
    How far the daemon is behind, in seconds.

    `fanout`: how long the first tenant in line has waited for its turn. `dispatch`: how long a
    quick endpoint that is due has waited for its turn. `results`: for how long the results of
    several tenants could not be stored. `oldest_held`: how long other transactions have held a
    webhook's results; one tenant may hold its own, so it decides nothing. `oldest_due`: how late
    the oldest pending delivery is; nor does it: a slow endpoint's own backlog makes it large.
    `oldest_postponed`: how long a delivery has waited for faults of our own; it decides nothing
    either, because the daemon goes on with the others.
    """

    fanout: float
    dispatch: float
    oldest_due: float
    oldest_postponed: float = 0.0
    results: float = 0.0
    oldest_held: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the daemon keeps up."""
        return max(self.fanout, self.dispatch, self.results) < MAX_LAG_SECONDS


@dataclass(frozen=True, slots=True)
class LoopHealth:
    """Whether a loop works, and the seconds since its last successful turn."""

    ok: bool
    last_turn_seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict and, by name, every check as JSON shows it; `loops` and `lag` are in it too."""

    ready: bool
    checks: dict[str, object]
    loops: dict[str, LoopHealth]
    lag: Lag
    schema_error: str | None

    def verdicts(self) -> dict[str, bool]:
        """Whether each check holds, by name; all loops are one check."""
        single = {
            name: bool(check["ok"])
            for name, check in self.checks.items()
            if isinstance(check, dict) and "ok" in check
        }
        return single | {"loops": all(each.ok for each in self.loops.values())}


class Reporting(Protocol):
    """The sources of health; `alive` is for the watchdog."""

    @property
    def alive(self) -> bool: ...

    def report(self) -> Report: ...


class Readiness:
    """Reads the heartbeats of all loops, what the watches found, and the lag."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        schema: SchemaWatch,
        holds: HoldWatch,
        *,
        lag: Callable[[], Lag],
        shortage: Callable[[], str | None],
    ) -> None:
        self._heartbeats = heartbeats
        self._schema = schema
        self._holds = holds
        self._lag = lag
        self._shortage = shortage
        self.stopping = False
        self.started_at = datetime.now(UTC)

    @property
    def schema_version(self) -> str:
        """The last migration that this program knows."""
        return self._schema.version

    @property
    def alive(self) -> bool:
        """Whether every loop has ended a run lately, even in vain: for the watchdog."""
        states = self._heartbeats.states().values()
        return bool(states) and all(state.run_age < LOOP_SILENCE_SECONDS for state in states)

    def report(self) -> Report:
        """Every check as it stands now."""
        lag = self._lag()
        loops = {
            name: LoopHealth(_is_working(state), state.success_age)
            for name, state in sorted(self._heartbeats.states().items())
        }
        database, schema = self._database_check(), self._schema_check()
        works = all(each.ok for each in loops.values())
        return Report(
            ready=bool(database["ok"] and schema["ok"] and works and lag.ok) and not self.stopping,
            checks={
                "database": database,
                "schema": schema,
                "loops": _loops_check(loops),
                "lag": _lag_check(lag),
                "holds": self._holds_check(),
                "resources": self._resources_check(),
                "stopping": self.stopping,
            },
            loops=loops,
            lag=lag,
            schema_error=self._schema.error,
        )

    def _database_check(self) -> dict[str, object]:
        states = self._heartbeats.states()
        ages = [states[name].success_age for name in ASKING_LOOPS if name in states]
        answers = bool(ages) and min(ages) < DATABASE_SILENCE_SECONDS
        read_only = self._heartbeats.read_only
        if read_only is not None:
            return {"ok": False, "error": read_only}
        return {"ok": answers}

    def _schema_check(self) -> dict[str, object]:
        error = self._schema.error
        check = {"ok": error is None, "version": self._schema.version}
        return check if error is None else check | {"error": error}

    def _resources_check(self) -> dict[str, object]:
        """
        Name a shortage of this machine, and where its remedy is.

        Ports are short for one destination: attempts to all others go on, so this decides nothing.
        """
        shortage = self._shortage()
        return {"ok": True, "shortage": shortage, "remedy": shortage and SHORTAGE_REMEDY}

    def _holds_check(self) -> dict[str, object]:
        """A hold is intended, so it does not make us unready. Tenants are not named publicly."""
        held = self._holds
        return {
            "ok": True,
            "everythingSince": _moment(held.everything_since),
            "tenants": held.tenants,
            "tenantsSince": _moment(held.tenants_since),
        }


def _loops_check(loops: Mapping[str, LoopHealth]) -> dict[str, object]:
    return {
        name: {"ok": each.ok, "lastTurnSecondsAgo": round(each.last_turn_seconds, 3)}
        for name, each in loops.items()
    }


def _lag_check(lag: Lag) -> dict[str, object]:
    return {
        "ok": lag.ok,
        "fanoutSeconds": round(lag.fanout, 3),
        "dispatchSeconds": round(lag.dispatch, 3),
        "resultsSeconds": round(lag.results, 3),
        "oldestHeldSeconds": round(lag.oldest_held, 3),
        "oldestDueSeconds": round(lag.oldest_due, 3),
        "oldestPostponedSeconds": round(lag.oldest_postponed, 3),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _is_working(state: LoopState) -> bool:
    return state.success_age < LOOP_SILENCE_SECONDS and state.failing_for < LOOP_FAILING_SECONDS
