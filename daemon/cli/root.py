"""The command `webhookd` itself: `--version`, the order of commands, and usage errors."""

import re
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from daemon.cli import COMMANDS, app
from daemon.core.errors import UsageError

# A secret in the wrong place would be quoted in the error message.
SECRET = re.compile(r"whsec_[^\s'\")]+")

QUOTED = re.compile(r"^'(?:[^']*/ )?([^']+)': (?:Input )?")


class Commands(TyperGroup):
    """All commands; a usage error is one line, as every other error is."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run as `webhookd`, whatever the program is called. Raises UsageError."""
        try:
            return super().main(*args, **{"prog_name": "webhookd", **options})
        except typer.TyperException as error:
            raise UsageError(_one_line(error.format_message())) from None
        except typer.Abort:
            return 130

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Print the help and exit with 2 if no command is named. Raises typer.Exit."""
        if not args and not ctx.resilient_parsing:  # a shell's completion parses like that
            print(ctx.get_help())
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands in the order of the help."""
        return sorted(super().list_commands(ctx), key=[*COMMANDS].index)


def _one_line(message: str) -> str:
    """Format a usage error as configuration errors are: `--port: 99999 is not in the range …`."""
    message = SECRET.sub("whsec_…", " ".join(message.split()).rstrip("."))
    message = message.removeprefix("Invalid value for ").removeprefix("Invalid value: ")
    return QUOTED.sub(r"\1: ", message)


def _print_version(requested: bool) -> None:
    if requested:
        from daemon.runtime.version import program_version

        print(f"webhookd {program_version()}")
        raise typer.Exit


@app.callback(cls=Commands, help=app.info.help)
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Accept the options that come before a command; the help text is the app's own."""
