"""
`python3 dev.py faults [NAME ...]`: runs scenarios in their long form.

`python3 dev.py faults attacks` runs attacks instead: see `tests/faults/attacks/`.
"""

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import uvloop

from daemon.store.migrations import migrate
from tests.faults.attacks.command import main as attacks
from tests.faults.report import Report
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.support.postgres import (
    folder_for_postgres,
    run_in_new_loop,
    temporary_database,
    temporary_server,
)


def main() -> int:
    """Run the named scenarios, or all, or attacks; return the exit code."""
    if sys.argv[1:2] == ["attacks"]:
        return attacks(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python3 dev.py faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios to run; default: all")
    parser.add_argument("--list", action="store_true", help="list the names and exit")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)} (see --list)")
    if options.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:24}{scenario.description}")
        return 0
    broken = run_all(options.names or list(SCENARIOS))
    print(f"\nbroken: {', '.join(broken)}" if broken else "\nall promises held")
    return 1 if broken else 0


def run_all(names: Sequence[str]) -> list[str]:
    """Run the scenarios one after another; return the names of those that broke a promise."""
    broken = []
    with temporary_server() as server:
        for name in names:
            print(f"\n{name}: {SCENARIOS[name].description}", flush=True)
            began = time.monotonic()
            held = run_and_print(SCENARIOS[name], server)
            print(f"  {time.monotonic() - began:.0f} s", flush=True)
            if not held:
                broken.append(name)
    return broken


def run_and_print(scenario: Scenario, server: str) -> bool:
    """Run a scenario in a new folder, print its findings; return whether all promises held."""
    with folder_for_postgres() as folder:
        try:
            report = run(scenario, server, folder)
        except Exception:  # noqa: BLE001  the other scenarios are to run all the same
            traceback.print_exc(file=sys.stdout)
            return False
    for finding in report.findings:
        print(f"  {'held  ' if finding.held else 'BROKEN'}  {finding}", flush=True)
    return not report.broken


def run(scenario: Scenario, server: str, folder: Path) -> Report:
    """Run a scenario on a new event loop, with the database that it needs."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if not scenario.database:
            return runner.run(scenario.run(folder))
        with temporary_database(server) as url:
            if scenario.migrated:
                run_in_new_loop(migrate(url))
            return runner.run(scenario.run(url, folder))


if __name__ == "__main__":
    sys.exit(main())
