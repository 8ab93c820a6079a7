"""
The command line `webhookd`: one file per group of commands, and one way to end for all of them.

Exit codes: 0 done, 1 the thing asked for failed, 2 usage or configuration error. What went wrong is
one clear line on stderr, never a traceback.
"""

import sys

import typer

from daemon.core.errors import ConfigError, UsageError, WebhookdError

app = typer.Typer(
    name="webhookd",
    help="Delivers PenguinMails events from PostgreSQL to customers' webhooks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command that the arguments name, and exit."""
    _register()
    try:
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except WebhookdError as error:
        _complain(str(error))
        code = 2 if isinstance(error, ConfigError | UsageError) else 1
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; Python would complain of it at the exit
        code = 1
    except Exception as error:  # noqa: BLE001  the edge: a fault of ours is told in one line, too
        _complain(f"internal error: {type(error).__name__}: {error}")
        code = 1
    raise SystemExit(code or 0)


def _complain(message: str) -> None:
    for line in message.splitlines():
        print(f"webhookd: {line}", file=sys.stderr)


def _register() -> None:
    """Import the commands: each registers itself, and imports what is heavy when it runs."""
    from daemon.cli import (  # noqa: F401
        check,
        forget,
        listen,
        migrate,
        replay,
        retry,
        root,
        rotate_secret,
        run,
        trigger,
        verify,
    )
    from daemon.cli.demo import command  # noqa: F401
