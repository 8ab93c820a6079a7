"""
The command line `webhookd`: one module per command.

Exit codes: 0 done, 1 the requested operation failed, 2 usage or configuration error. An error is
one clear line on stderr, never a traceback.
"""

import sys

import typer

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


def main() -> None:
    """Run the command that the arguments name, and exit. Raises SystemExit."""
    _register()
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


def _register() -> None:
    """Import the commands, which register themselves; each imports heavy modules when it runs."""
    from daemon.cli import (  # noqa: F401
        adopt,
        check,
        explain,
        files,
        forget,
        hold,
        list_webhooks,
        listen,
        migrate,
        replay,
        retry,
        root,
        rotate_secret,
        run,
        show,
        trigger,
        verify,
    )
    from daemon.cli.demo import command  # noqa: F401
