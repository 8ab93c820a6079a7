"""The long forms of all scenarios, by name."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.faults import (
    daemons,
    old_transaction,
    outages,
    replays,
    slow_endpoints,
    stalls,
    starts,
    stops,
)
from tests.faults.report import Report


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    One scenario; `run` takes a database's URL and a folder.

    Without `database` it starts its own server, and takes the folder only.
    """

    description: str
    run: Callable[..., Coroutine[Any, Any, Report]]
    database: bool = True
    migrated: bool = True


SCENARIOS = {
    "four-daemons": Scenario(
        "four daemons, 20,000 events to 200 endpoints of 100 tenants: 40,000 pairs",
        partial(daemons.several, events=20_000),
    ),
    "killed-daemon": Scenario(
        "kill -9 amid 5,000 deliveries, three times, leases waited for",
        partial(daemons.killed, rounds=3, wait_for_leases=True),
    ),
    "frozen-daemon": Scenario(
        "a daemon is frozen for longer than its leases",
        partial(daemons.frozen, wait_for_leases=True),
    ),
    "frozen-in-transaction": Scenario(
        "a daemon is frozen while it holds locks", daemons.frozen_in_transaction
    ),
    "stalled-daemon": Scenario(
        "SIGSTOP for 8 s with requests in flight over https, and responses meanwhile",
        partial(stalls.stopped, tls=True, seconds=8.0),
    ),
    "stalled-silent": Scenario(
        "SIGSTOP for 8 s with requests in flight that get no response",
        partial(stalls.silent, seconds=8.0),
    ),
    "killed-database": Scenario(
        "PostgreSQL killed with -9 under load, five times, with fsync",
        partial(outages.killed, outages=5, pairs=5000),
        database=False,
    ),
    "stopped-database": Scenario(
        "PostgreSQL is frozen for 15 s under load",
        partial(outages.stopped, seconds=15),
        database=False,
    ),
    "stop-under-load": Scenario(
        "SIGTERM under load, ten times", partial(stops.under_load, rounds=10)
    ),
    "stop-held": Scenario(
        "SIGTERM while the receiver holds every request", stops.held_by_the_receiver
    ),
    "stop-twice": Scenario("a second SIGTERM during the drain", stops.twice),
    "stop-without-database": Scenario(
        "SIGTERM while PostgreSQL is frozen, with the default drain",
        partial(stops.without_database, drain_seconds=10),
        database=False,
    ),
    "one-slow-endpoint": Scenario(
        "100,000 deliveries due for one endpoint that answers after 4.9 s",
        partial(
            slow_endpoints.slow_endpoints,
            endpoints=1,
            backlog=100_000,
            answer_after=4.9,
            busy=32,
            samples=200,
        ),
    ),
    "slow-endpoints": Scenario(
        "100 endpoints that answer after 4.9 s, 1,000 deliveries due for each",
        partial(
            slow_endpoints.slow_endpoints,
            endpoints=100,
            backlog=1000,
            answer_after=4.9,
            busy=180,
            samples=200,
        ),
    ),
    "silent-endpoints": Scenario(
        "50 endpoints that never answer, 1,000 deliveries due for each",
        partial(
            slow_endpoints.slow_endpoints,
            endpoints=50,
            backlog=1000,
            answer_after=None,
            busy=50,
            samples=200,
        ),
    ),
    "locked-endpoint": Scenario(
        "one busy webhook's row locked by the application for 60 s",
        partial(slow_endpoints.locked_endpoint, backlog=50_000, seconds=60),
    ),
    "old-transaction": Scenario(
        "a transaction left open during 50,000 deliveries",
        partial(old_transaction.held_open, deliveries=50_000, measured=5000),
    ),
    "replay": Scenario(
        "100,000 events replayed to one webhook, and new events beside it",
        partial(replays.beside_live, events=100_000),
    ),
    "killed-replay": Scenario(
        "kill -9 in the middle of a replay of 20,000 events, three times, leases waited for",
        partial(replays.killed, events=20_000, rounds=3, wait_for_leases=True),
    ),
    "cancelled-replay": Scenario(
        "a replay of 20,000 events cancelled in the middle, five times",
        partial(replays.cancelled, events=20_000, rounds=5),
    ),
    "migration-race": Scenario(
        "eight `webhookd migrate` at once",
        partial(starts.migration_race, runners=8),
        migrated=False,
    ),
    "unfit-schema": Scenario("no schema, and a newer one", starts.unfit_schema, migrated=False),
    "unfit-database": Scenario("a wrong password, no such database", starts.unfit_database),
    "late-database": Scenario(
        "PostgreSQL starts after the daemon", starts.late_database, database=False
    ),
    "no-database": Scenario(
        "PostgreSQL never starts",
        partial(starts.no_database, wait_until_it_gives_up=True),
        database=False,
    ),
}
