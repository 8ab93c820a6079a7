"""The words before any command: `--version`, the order of the help, and one line for a slip."""

import re
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from daemon.cli import app
from daemon.core.errors import UsageError

# Given in the wrong place, it would be quoted as what was not understood.
SECRET = re.compile(r"whsec_[^\s'\")]+")

QUOTED = re.compile(r"^'(?:[^']*/ )?([^']+)': (?:Input )?")

# As one meets them, not as the alphabet has them.
ORDER = (
    "demo", "run", "migrate", "check", "trigger", "listen", "verify", "rotate-secret", "retry",
    "replay", "forget",
)  # fmt: skip


class Commands(TyperGroup):
    """All commands; what was mistyped is told like any other mistake, in one line."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run as `webhookd`, by whatever name we were called. Raises UsageError."""
        try:
            return super().main(*args, **{"prog_name": "webhookd", **options})
        except typer.TyperException as slip:
            raise UsageError(_one_line(slip.format_message())) from None
        except typer.Abort:
            return 130

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            print(ctx.get_help())
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        known = super().list_commands(ctx)
        return sorted(known, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def _one_line(message: str) -> str:
    """`--port: 99999 is not in the range …`, as the configuration's mistakes are told."""
    message = SECRET.sub("whsec_…", " ".join(message.split()).rstrip("."))
    message = message.removeprefix("Invalid value for ").removeprefix("Invalid value: ")
    return QUOTED.sub(r"\1: ", message)


def _tell_version(asked: bool) -> None:
    if asked:
        from daemon.runtime.version import program_version

        print(f"webhookd {program_version()}")
        raise typer.Exit


@app.callback(cls=Commands, help=app.info.help)
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """What the app itself says of itself stands."""
