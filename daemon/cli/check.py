"""`webhookd check`: is everything as the daemon needs it, and if not, what is wrong."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import JsonOption

if TYPE_CHECKING:
    from daemon.cli.checks.finding import Finding, Mark
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
    Check configuration, database, schema, permissions, and every webhook.

    Exits with 1 if anything is wrong (✗); a remark (!) is no mistake.
    """
    from daemon.cli.checks.finding import Mark

    marks = asyncio.run(_check_as_json(config) if json else _check(config))
    raise typer.Exit(1 if marks[Mark.WRONG] else 0)


async def _check(config: Path | None) -> "Counter[Mark]":
    from daemon.cli.checks.checks import all_findings
    from daemon.cli.checks.finding import Mark
    from daemon.cli.support.console import Screen

    screen, marks = Screen(), Counter[Mark]()
    async for finding in all_findings(config):
        marks[finding.mark] += 1
        _show(screen, finding)
    screen.show()
    screen.show("Something is wrong." if marks[Mark.WRONG] else "Nothing is wrong.")
    return marks


async def _check_as_json(config: Path | None) -> "Counter[Mark]":
    from daemon.cli.checks.checks import all_findings
    from daemon.cli.checks.finding import Mark

    found = [finding async for finding in all_findings(config)]
    marks = Counter(finding.mark for finding in found)
    checks = [finding.as_json() for finding in found]
    print(json.dumps({"ok": not marks[Mark.WRONG], "checks": checks}, indent=2))
    return marks


def _show(screen: "Screen", finding: "Finding") -> None:
    from rich.text import Text

    from daemon.cli.support.console import printable

    line = Text(f"{finding.mark.value} ", style=finding.mark.colour)
    line.append(f"{finding.subject:<14} ", style="bold")
    line.append(printable(finding.sentence))
    screen.show(line)
