"""
The log on stderr: one line per event, without secrets; logging never stops the program.

`configure` is called once at the start. Every other module only does `log = structlog.get_logger()`
and `log.info("noun.verb_past", key=value)`.
"""

import atexit
import sys
from typing import TextIO

import structlog

from daemon.logs.console import console_renderer
from daemon.logs.json_lines import render_json
from daemon.logs.output import Output, Renderer
from daemon.logs.standard_library import route_standard_library
from daemon.logs.text import one_line
from daemon.logs.urls import without_secrets

__all__ = ["configure", "one_line", "without_secrets"]

# Loggers that are in use already keep a reference to this output and this list; therefore they
# follow a later `configure` too, except for its level.
_OUTPUT = Output()
_PROCESSORS: list[Renderer] = [render_json]
atexit.register(_OUTPUT.flush)


def configure(format: str, level: str, stream: TextIO | None = None) -> None:  # noqa: A002
    """
    Write all logs, the standard library's too, to `stream` (stderr) from `level` on.

    `format` is `json`, `console`, or `auto`: console on a terminal, JSON otherwise. A stream
    that is closed, full or broken loses lines and nothing else; a later warning counts them.
    """
    stream = stream or sys.stderr
    terminal = _is_terminal(stream)
    on_console = format == "console" or (format == "auto" and terminal)
    renderer = console_renderer(colors=terminal) if on_console else render_json
    _PROCESSORS[:] = [renderer]
    _OUTPUT.redirect(stream, renderer)
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _OUTPUT,
        cache_logger_on_first_use=True,
    )
    route_standard_library(level, _OUTPUT, renderer)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
