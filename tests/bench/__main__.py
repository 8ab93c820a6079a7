"""
`python3 dev.py bench [NAME ...]`: measure the daemon beside baselines, and print one table.

A figure is the median of its rounds, in which all subjects take turns. The exit code says whether
the instrument worked: 1 if something failed or did not add up, whatever the figures are.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from daemon.cli.support.process import raise_open_file_limit
from tests.bench import variants
from tests.bench.chart import svg
from tests.bench.report import Report
from tests.bench.running import measure
from tests.bench.sizes import FULL, QUICK
from tests.bench.workloads import WORKLOADS, with_needs
from tests.support.postgres import folder_for_postgres


def main(arguments: Sequence[str]) -> int:
    """Run the named workloads, or all, and print the results; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in WORKLOADS]:
        parser.error(f"no such workload: {', '.join(unknown)} (see --list)")
    if options.list:
        for name, workload in WORKLOADS.items():
            print(f"{name:<18}{workload.description}")
        return 0
    began = time.monotonic()
    with folder_for_postgres() as folder:
        try:
            compared = _variants(options, folder)
        except variants.UnusableVariantError as error:
            parser.error(str(error))
        report = uvloop.run(_measure(options, compared, folder))
    print("\n" + "\n".join(report.table()))
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    if options.svg:
        options.svg.write_text(svg(report))
    return 1 if report.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 dev.py bench", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="workloads to run; default: all")
    add("--list", action="store_true", help="list the names and exit")
    add("--rounds", type=_positive, help=f"default: {FULL.rounds}, or {QUICK.rounds} with --quick")
    add("--quick", action="store_true", help="small loads that only show that everything works")
    add("--against", metavar="REV", help="measure the daemon of this revision too")
    add("--python", metavar="FILE", help="measure on this interpreter too; it needs the packages")
    add("--json", type=Path, metavar="FILE", help="write all rounds to this file")
    add("--svg", type=Path, metavar="FILE", help="draw a chart to this file")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("must be a number of at least 1")
    return int(text)


def _variants(options: argparse.Namespace, folder: Path) -> list[variants.Variant]:
    found = [variants.this_checkout()]
    if options.against:
        found.append(variants.exported(options.against, folder))
    if options.python:
        found.append(variants.on_python(options.python))
    return found


async def _measure(
    options: argparse.Namespace, compared: list[variants.Variant], folder: Path
) -> Report:
    raise_open_file_limit()
    sizes = QUICK if options.quick else FULL
    sizes = replace(sizes, rounds=options.rounds or sizes.rounds)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await measure(
        with_needs(options.names),
        compared,
        sizes,
        folder,
        other=compared[1].name if options.against else None,
        show=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
