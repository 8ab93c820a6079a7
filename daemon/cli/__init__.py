"""
The command line `webhookd`: one module per command.

Exit codes: 0 done, 1 the requested operation failed, 2 usage or configuration error. An error is
one clear line on stderr, never a traceback.
"""

import sys
from importlib import import_module

import typer

from daemon.cli.support import interpreter
from daemon.core.errors import ConfigError, UsageError, WebhookdError
from daemon.core.unprintable import escape
from daemon.runtime import systemd

app = typer.Typer(
    name="webhookd",
    help="Delivers PenguinMails events from PostgreSQL to customers' webhooks.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The modules of the commands, in the order of the help: as a new user needs them.
COMMANDS = {
    "demo": "demo.command",
    "run": "run",
    "migrate": "migrate",
    "check": "check",
    "trigger": "trigger",
    "listen": "listen",
    "verify": "verify",
    "list": "list_webhooks",
    "show": "show",
    "explain": "explain",
    "pause": "pause",
    "resume": "pause",
    "rotate-secret": "rotate_secret",
    "retry": "retry",
    "replay": "replay",
    "hold": "hold",
    "release": "hold",
    "adopt": "adopt",
    "forget": "forget",
    "files": "files",
    "capacity": "capacity",
}


def main() -> None:
    """Run the command that the arguments name, and exit. Raises SystemExit."""
    interpreter.relax_garbage_collection()
    interpreter.disable_pydantic_plugins()
    _register(sys.argv[1] if len(sys.argv) > 1 else None)
    try:
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except WebhookdError as error:
        _print_error(str(error))
        code = 2 if isinstance(error, ConfigError | UsageError) else 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone; Python would report it at exit
        code = 1
    except Exception as error:  # noqa: BLE001  the edge: even a defect of ours is one line
        _print_error(f"internal error: {type(error).__name__}: {error}")
        code = 1
    raise SystemExit(code or 0)


def _print_error(message: str) -> None:
    in_journal = systemd.is_journal(2)
    for line in message.splitlines():
        text = f"webhookd: {escape(line)}"
        if in_journal:
            text = systemd.with_priority("error", text.encode()).decode()
        print(text, file=sys.stderr)


def _register(argument: str | None = None) -> None:
    """
    Import the module of the command that the first argument names; without a name, all of them.

    Commands register themselves, and import heavy modules when they run.
    """
    if argument == "--version":
        needed = set()
    else:
        needed = {COMMANDS[argument]} if argument in COMMANDS else {*COMMANDS.values()}
    for name in ("root", *sorted(needed)):
        import_module(f"daemon.cli.{name}")
