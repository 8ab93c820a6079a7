"""`python3 dev.py faults attacks [NAME ...]`: runs attacks, and prints one table."""

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import uvloop

from daemon.store.migrations import migrate
from tests.faults.attacks import table
from tests.faults.attacks.catalogue import ATTACKS
from tests.faults.attacks.running import run_attack
from tests.faults.attacks.table import Result
from tests.support.postgres import (
    folder_for_postgres,
    run_in_new_loop,
    temporary_database,
    temporary_server,
)


def main(arguments: Sequence[str]) -> int:
    """Run the named attacks, or all; return the exit code, 1 if a limit was exceeded."""
    parser = argparse.ArgumentParser(prog="python3 dev.py faults attacks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="attacks to run; default: all")
    parser.add_argument("--list", action="store_true", help="list the names and exit")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in ATTACKS]:
        parser.error(f"no such attack: {', '.join(unknown)} (see --list)")
    if options.list:
        for name, attack in ATTACKS.items():
            print(f"{name:24}{attack.description}")
        return 0
    names = options.names or list(ATTACKS)
    results = print_json(names) if options.json else print_table(names)
    return 1 if any(result.violations for result in results) else 0


def print_table(names: Sequence[str]) -> list[Result]:
    """Print each line as soon as its attack is over, then the notes."""
    print(table.HEADINGS, flush=True)
    results = []
    for result in run_all(names):
        print(table.line(result), flush=True)
        results.append(result)
    print()
    for result in results:
        for note in (result.description, *result.notes):
            print(f"{result.name}: {note}")
    broken = [result.name for result in results if result.violations]
    print(f"\nbroken: {', '.join(broken)}" if broken else "\nall limits held")
    return results


def print_json(names: Sequence[str]) -> list[Result]:
    """Print all results as one JSON array."""
    results = list(run_all(names))
    print(json.dumps([result.as_json() for result in results], indent=2))
    return results


def run_all(names: Sequence[str]) -> Iterator[Result]:
    """Run the attacks one after another on one server, each with a database and a daemon."""
    with temporary_server() as server, temporary_database(server) as migrated:
        run_in_new_loop(migrate(migrated))
        template = urlsplit(migrated).path.removeprefix("/")
        for name in names:
            with (
                folder_for_postgres() as folder,
                temporary_database(server, template=template) as database,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                yield runner.run(run_attack(name, ATTACKS[name], database, folder))
