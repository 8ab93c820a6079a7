"""
The log on stderr: one line per event, without secrets; logging never stops the program.

`configure` is called once at the start. Every other module only does `log = structlog.get_logger()`
and `log.info("noun.verb_past", key=value)`.
"""

import atexit
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict

from daemon.logs.console import console_renderer
from daemon.logs.json_lines import render_json
from daemon.logs.output import Output, Renderer
from daemon.logs.standard_library import route_standard_library
from daemon.logs.text import one_line
from daemon.logs.urls import without_secrets
from daemon.runtime import systemd

__all__ = ["configure", "one_line", "without_secrets"]

# Loggers that are in use already keep a reference to this output, this list and the class below;
# therefore they follow a later `configure` too.
_OUTPUT = Output()
_PROCESSORS: list[Renderer] = [render_json]
atexit.register(_OUTPUT.flush)


class _Logger(structlog.make_filtering_bound_logger("debug")):  # type: ignore[misc]
    """Writes from the level on that `_filter_from` has set for all loggers."""


def _filter_from(level: str) -> None:
    """Take the methods of structlog's class for this level: those below it do nothing at all."""
    filtering = structlog.make_filtering_bound_logger(level)
    for name, method in vars(filtering).items():
        if not name.startswith("__"):
            setattr(_Logger, name, method)


def configure(format: str, level: str, stream: TextIO | None = None) -> None:  # noqa: A002
    """
    Write all logs, the standard library's too, to `stream` (stderr) from `level` on.

    `format` is `json`, `console`, or `auto`: console on a terminal, JSON otherwise. A stream
    that is closed, full or broken loses lines and nothing else; a later warning counts them. Lines
    to the journal begin with their level as it reads it.
    """
    stream = stream or sys.stderr
    terminal = _is_terminal(stream)
    on_console = format == "console" or (format == "auto" and terminal)
    renderer = console_renderer(colors=terminal) if on_console else render_json
    if _is_journal(stream):
        renderer = _for_journal(renderer)
    _filter_from(level)
    _PROCESSORS[:] = [renderer]
    _OUTPUT.redirect(stream, renderer)
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=_Logger,
        logger_factory=lambda *_: _OUTPUT,
        cache_logger_on_first_use=True,
    )
    route_standard_library(level, _OUTPUT, renderer)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _is_journal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and systemd.is_journal(stream.fileno())
    except (ValueError, OSError):  # closed, or not a file
        return False


def _for_journal(render: Renderer) -> Renderer:
    def with_priority(logger: Any, level: str, fields: EventDict) -> bytes:
        return systemd.with_priority(level, render(logger, level, fields))

    return with_priority
