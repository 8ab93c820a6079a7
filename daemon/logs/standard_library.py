"""Send the standard library's log records through our renderer and output."""

import logging

from structlog.typing import EventDict

from daemon.logs.output import Output, Renderer


def route_standard_library(level: str, output: Output, renderer: Renderer) -> None:
    """Take over the records of asyncio, aiohttp and others, from warnings on: lower is noise."""
    root = logging.getLogger()
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    others = [handler for handler in root.handlers if not isinstance(handler, _Bridge)]
    root.handlers[:] = [*others, _Bridge(output, renderer)]


class _Bridge(logging.Handler):
    """Renders by itself: processors that filter our own events do not apply to these records."""

    def __init__(self, output: Output, renderer: Renderer) -> None:
        super().__init__()
        self._output = output
        self._renderer = renderer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  Arguments that do not fit the format, or a broken repr.
            message = str(record.msg)
        fields: EventDict = {"event": message, "logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        self._output.write(self._renderer(None, record.levelname.lower(), fields))
