"""`webhookd check`: whether the installation has everything that the daemon needs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import JsonOption, switch

if TYPE_CHECKING:
    from daemon.cli.checks.finding import Finding, Status
    from daemon.cli.support.console import Screen

    Checks = Callable[[], AsyncIterator[Finding]]


@app.command()
def check(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="The configuration file.", metavar="FILE"),
    ] = None,
    json: JsonOption = False,
    strict: Annotated[bool, switch("--strict", "Exit with 1 for warnings, too.")] = False,
    only_configuration: Annotated[
        bool, switch("--only-configuration", "Read the configuration, and connect to nothing.")
    ] = False,
) -> None:
    """
    Check the configuration, database, schema, permissions, and every webhook.

    Exits with 1 if a check fails (✗). A warning (!), such as for a webhook that cannot be delivered
    to, does not count as a failure unless --strict is given. Mistakes in the configuration exit
    with 2.
    """
    from daemon.cli.checks.finding import Status

    failing = {Status.ERROR, Status.WARNING} if strict else {Status.ERROR}
    checks = partial(_findings, config, only_configuration=only_configuration)
    is_wrong = asyncio.run(_check_as_json(checks, failing) if json else _check(checks, failing))
    raise typer.Exit(int(is_wrong))


async def _findings(path: Path | None, *, only_configuration: bool) -> "AsyncIterator[Finding]":
    """Check the configuration, and then the rest. Raises ConfigError, UsageError."""
    from daemon import config, logs
    from daemon.cli.checks.configuration import check_configuration

    loaded = config.load(path)
    logs.configure(loaded.log.format, "error")
    yield check_configuration(path)
    if only_configuration:
        return
    from daemon.cli.checks.all_checks import check_installation

    async for finding in check_installation(loaded):
        yield finding


async def _check(checks: "Checks", failing: "AbstractSet[Status]") -> bool:
    from daemon.cli.support.console import Screen

    screen, is_wrong = Screen(), False
    async for finding in checks():
        is_wrong |= finding.status in failing
        _show(screen, finding)
    screen.show()
    screen.show("Something is wrong." if is_wrong else "Nothing is wrong.")
    return is_wrong


async def _check_as_json(checks: "Checks", failing: "AbstractSet[Status]") -> bool:
    findings = [finding async for finding in checks()]
    is_wrong = any(finding.status in failing for finding in findings)
    report = {"ok": not is_wrong, "checks": [finding.as_json() for finding in findings]}
    print(json.dumps(report, indent=2))
    return is_wrong


def _show(screen: "Screen", finding: "Finding") -> None:
    from rich.text import Text

    from daemon.core.unprintable import escape

    line = Text(f"{finding.status.symbol} ", style=finding.status.colour)
    line.append(f"{finding.check:<14} ", style="bold")
    line.append(escape(finding.message))
    screen.show(line)
