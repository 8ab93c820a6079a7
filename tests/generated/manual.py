"""man/webhookd.1, from the command line's own parser."""

import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from daemon import cli

START = r"""
.\" Generated from the command line by `python3 dev.py generate`.
.TH WEBHOOKD 1 2026 "PenguinMails Webhooks" "User Commands"
.SH NAME
webhookd \- deliver events from PostgreSQL to customers' webhooks
.SH SYNOPSIS
.B webhookd
.I COMMAND
.RI [ ARGUMENTS ]
.SH DESCRIPTION
webhookd delivers the events that an application commits to the table webhook_events
to every webhook that subscribes to them: signed, retried, and recorded.
.PP
Every command but run, demo and trigger needs a configured database, or a running embedded one,
and says which one it uses.
.SH COMMANDS
""".strip()
END = r"""
.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
What was asked for failed.
.TP
.B 2
Mistake in the arguments or in the configuration.
.SH ENVIRONMENT
.TP
.B WEBHOOKD_CONFIG
The configuration file.
.TP
.B DATABASE_URL
The database, where database.url is not set otherwise.
.TP
.BI WEBHOOKD_ SECTION __ KEY
Any setting, such as WEBHOOKD_LOG__LEVEL.
.TP
.B CREDENTIALS_DIRECTORY
A folder with a file for each setting that is a secret, such as database__url.
.TP
.B WEBHOOK_SECRET
The secret for verify and listen.
.SH FILES
.TP
.I ./config.toml
.TQ
.I /etc/penguinmails\-webhooks/config.toml
The configuration, unless it is named.
`webhookd files config.example.toml' prints one with every setting.
.SH SEE ALSO
.BR psql (1),
.BR systemctl (1)
.PP
`webhookd files' lists the documentation.
""".strip()


def manual_page() -> str:
    """The whole page, in the language of man(7)."""
    cli._register()
    group: Any = get_command(cli.app)
    names = group.list_commands(None)
    commands = [line for name in names for line in _command(name, group.commands[name])]
    return "\n".join([START, *commands, END]) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each.param_type_name == "option"]
    usage = [_argument(each) for each in arguments] + (["[OPTIONS]"] if options else [])
    yield f".SS {_text(' '.join(['webhookd', name, *usage]))}"
    for number, paragraph in enumerate(re.split(r"\n\s*\n", command.help.strip())):
        if number:
            yield ".PP"
        yield _text(paragraph)
    for each in arguments:
        yield from (".TP", f".I {_text(each.metavar.strip('[]'))}", _text(each.help))
    for each in options:
        value = f" \\fI{_text(each.metavar)}\\fR" if each.metavar else ""
        yield from (".TP", f"\\fB{_text(', '.join(each.opts))}\\fR{value}", _help(each))


def _argument(argument: Any) -> str:
    name = argument.metavar.strip("[]")
    return name if argument.required else f"[{name}]"


def _help(option: Any) -> str:
    text = option.help
    if option.required:
        text += " Required."
    elif option.show_default and not option.is_flag and option.default is not None:
        text += f" Default: {option.default}."
    return _text(text)


def _text(text: str) -> str:
    """Text on one line that is no request, and whose hyphens can be copied."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    line = line.replace("…", "...")
    return f"\\&{line}" if line.startswith((".", "'")) else line
