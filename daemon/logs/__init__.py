"""
One line per thing that happened, to stderr: cheap, never a secret, and never a reason to stop.

`configure` is called once at the start. Every other room only does `log = structlog.get_logger()`
and `log.info("noun.verb_past", key=value)`.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict

from daemon.logs.output import Output, Render
from daemon.logs.redaction import one_line, without_secrets
from daemon.logs.rendering import console, to_json

__all__ = ["configure", "one_line", "without_secrets"]

# Loggers that are in use already hold this output and this list; so they follow `configure` too,
# all but its level.
_RENDER: list[Render] = [to_json]
_OUTPUT = Output()


def configure(format: str, level: str, stream: TextIO | None = None) -> None:  # noqa: A002
    """
    Write all logs, the standard library's too, to `stream` (stderr) from `level` on.

    `format` is `json`, `console`, or `auto`: console on a terminal, else JSON. A stream that is
    closed, full or gone loses lines, and nothing else; how many is told once it is back.
    """
    stream = stream or sys.stderr
    terminal = _is_terminal(stream)
    on_console = format == "console" or (format == "auto" and terminal)
    _RENDER[:] = [console(colors=terminal) if on_console else to_json]
    _OUTPUT.aim(stream, _RENDER[0])
    structlog.configure(
        processors=_RENDER,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _OUTPUT,
        cache_logger_on_first_use=True,
    )
    _route_standard_library(level)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _route_standard_library(level: str) -> None:
    """Take over what asyncio and aiohttp say, from warnings on: below that it is noise."""
    root = logging.getLogger()
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    others = [handler for handler in root.handlers if not isinstance(handler, _Bridge)]
    root.handlers[:] = [*others, _Bridge()]


class _Bridge(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  Arguments that do not fit their format, or a broken repr.
            message = str(record.msg)
        fields: EventDict = {"event": message, "logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        # The last: others may stand before it, as the demo's filter does.
        _OUTPUT.write(_RENDER[-1](None, record.levelname.lower(), fields))
