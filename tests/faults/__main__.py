"""`python3 dev.py faults [NAME ...]`: every scenario at length, and a table of what was seen."""

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from daemon.store.migrations import migrate
from tests.faults import daemons, old_transaction, outages, replays, sick, starts, stops
from tests.faults.report import Report
from tests.support.postgres import roomy_folder, run_apart, temporary_database, temporary_server

Play = Callable[..., Coroutine[Any, Any, Report]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`play` takes a database's URL, unless it brings a server of its own, and a folder."""

    told: str
    play: Play
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
        "a daemon stands still for longer than its leases",
        partial(daemons.frozen, wait_for_leases=True),
    ),
    "frozen-in-transaction": Scenario(
        "a daemon stands still while it holds locks", daemons.frozen_amid_settling
    ),
    "killed-database": Scenario(
        "PostgreSQL killed with -9 under load, five times, its disk not cheated",
        partial(outages.killed, outages=5, pairs=5000),
        database=False,
    ),
    "stopped-database": Scenario(
        "PostgreSQL stands still for 15 s under load",
        partial(outages.stopped, seconds=15),
        database=False,
    ),
    "stop-under-load": Scenario(
        "SIGTERM under load, ten times", partial(stops.under_load, rounds=10)
    ),
    "stop-held": Scenario(
        "SIGTERM while the receiver holds every request", stops.held_by_the_receiver
    ),
    "stop-twice": Scenario("a second SIGTERM", stops.twice),
    "stop-without-database": Scenario(
        "SIGTERM while PostgreSQL stands still, with the default drain",
        partial(stops.without_database, drain_seconds=10),
        database=False,
    ),
    "one-slow-endpoint": Scenario(
        "100,000 deliveries due for one endpoint that answers after 4.9 s",
        partial(
            sick.sick_ones, endpoints=1, backlog=100_000, answer_after=4.9, busy=32, samples=200
        ),
    ),
    "slow-endpoints": Scenario(
        "100 endpoints that answer after 4.9 s, 1,000 deliveries due for each",
        partial(
            sick.sick_ones, endpoints=100, backlog=1000, answer_after=4.9, busy=380, samples=200
        ),
    ),
    "silent-endpoints": Scenario(
        "50 endpoints that never answer, 1,000 deliveries due for each",
        partial(
            sick.sick_ones, endpoints=50, backlog=1000, answer_after=None, busy=50, samples=200
        ),
    ),
    "locked-endpoint": Scenario(
        "one busy webhook's row locked by the application for 60 s",
        partial(sick.locked_one, backlog=50_000, seconds=60),
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
        "PostgreSQL never starts", partial(starts.no_database, patiently=True), database=False
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 dev.py faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all of them, unless named")
    parser.add_argument("--list", action="store_true", help="tell the names, and do nothing")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)} (see --list)")
    if options.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:24}{scenario.told}")
        return 0
    broken = play_all(options.names or list(SCENARIOS))
    print(f"\nbroken: {', '.join(broken)}" if broken else "\nevery promise held")
    return 1 if broken else 0


def play_all(names: list[str]) -> list[str]:
    """Play them one after the other; the names of those that broke a promise."""
    broken = []
    with temporary_server() as server:
        for name in names:
            print(f"\n{name}: {SCENARIOS[name].told}", flush=True)
            began = time.monotonic()
            held = play(SCENARIOS[name], server)
            print(f"  {time.monotonic() - began:.0f} s", flush=True)
            if not held:
                broken.append(name)
    return broken


def play(scenario: Scenario, server: str) -> bool:
    """Play it in a place of its own and print what was found; True if every promise held."""
    with roomy_folder() as folder:
        try:
            report = in_place(scenario, server, folder)
        except Exception:  # noqa: BLE001  the others are to be played all the same
            traceback.print_exc(file=sys.stdout)
            return False
    for finding in report.findings:
        print(f"  {'held  ' if finding.held else 'BROKEN'}  {finding}", flush=True)
    return not report.broken


def in_place(scenario: Scenario, server: str, folder: Path) -> Report:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if not scenario.database:
            return runner.run(scenario.play(folder))
        with temporary_database(server) as url:
            if scenario.migrated:
                run_apart(migrate(url))
            return runner.run(scenario.play(url, folder))


if __name__ == "__main__":
    sys.exit(main())
