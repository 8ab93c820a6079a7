"""Render an event for people, on one line except for a traceback."""

import os
from datetime import UTC, datetime
from typing import Any

from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.typing import EventDict

from daemon.core.unprintable import escape
from daemon.logs.fallback import render_fallback
from daemon.logs.output import Renderer
from daemon.logs.tracebacks import replace_exc_info
from daemon.logs.values import redact_fields


def console_renderer(*, colors: bool) -> Renderer:
    """Return a renderer for people, with colours unless NO_COLOR forbids them."""
    draw = ConsoleRenderer(
        colors=colors and not os.environ.get("NO_COLOR"),
        exception_formatter=plain_traceback,
        sort_keys=False,
    )

    def render(_: Any, level: str, fields: EventDict) -> bytes:
        try:
            return draw(None, level, _printable(level, fields)).encode()
        except Exception:  # noqa: BLE001  A line that cannot be rendered must not stop its caller.
            return render_fallback(level, fields)

    return render


def _printable(level: str, fields: EventDict) -> EventDict:
    replace_exc_info(fields)
    redacted = redact_fields(fields)
    shown = {escape(key): _escape_text(value) for key, value in redacted.items()}
    if "exception" in redacted:
        shown["exception"] = _indent(str(redacted["exception"]))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"timestamp": now, "level": level, **shown}


def _escape_text(value: object) -> object:
    """Escape text; values of other types are printed by repr, which escapes."""
    return escape(value) if isinstance(value, str) else value


def _indent(text: str) -> str:
    """Indent a traceback, so that a line of an error's message cannot pass for a log line."""
    return "\n".join(f"    {escape(line)}" for line in text.split("\n"))
