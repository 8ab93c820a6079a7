"""`webhookd check`: whether the installation has everything that the daemon needs."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import JsonOption

if TYPE_CHECKING:
    from daemon.cli.checks.finding import Finding, Status
    from daemon.cli.support.console import Screen


@app.command()
def check(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="The configuration file.", metavar="FILE"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """
    Check the configuration, database, schema, permissions, and every webhook.

    Exits with 1 if a check fails (✗); a warning (!) does not count as a failure.
    """
    from daemon.cli.checks.finding import Status

    counts = asyncio.run(_check_as_json(config) if json else _check(config))
    raise typer.Exit(1 if counts[Status.ERROR] else 0)


async def _check(config: Path | None) -> "Counter[Status]":
    from daemon.cli.checks.all_checks import check_installation
    from daemon.cli.checks.finding import Status
    from daemon.cli.support.console import Screen

    screen, counts = Screen(), Counter[Status]()
    async for finding in check_installation(config):
        counts[finding.status] += 1
        _show(screen, finding)
    screen.show()
    screen.show("Something is wrong." if counts[Status.ERROR] else "Nothing is wrong.")
    return counts


async def _check_as_json(config: Path | None) -> "Counter[Status]":
    from daemon.cli.checks.all_checks import check_installation
    from daemon.cli.checks.finding import Status

    findings = [finding async for finding in check_installation(config)]
    counts = Counter(finding.status for finding in findings)
    report = {
        "ok": not counts[Status.ERROR],
        "checks": [finding.as_json() for finding in findings],
    }
    print(json.dumps(report, indent=2))
    return counts


def _show(screen: "Screen", finding: "Finding") -> None:
    from rich.text import Text

    from daemon.core.unprintable import escape

    line = Text(f"{finding.status.symbol} ", style=finding.status.colour)
    line.append(f"{finding.check:<14} ", style="bold")
    line.append(escape(finding.message))
    screen.show(line)
