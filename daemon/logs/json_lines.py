"""Render an event as one line of JSON."""

from datetime import UTC, datetime
from typing import Any

import orjson
from structlog.typing import EventDict

from daemon.core.unprintable import escape_json
from daemon.logs.fallback import render_fallback
from daemon.logs.tracebacks import replace_exc_info
from daemon.logs.values import is_flat, redact_fields, to_json_value


def render_json(_: Any, level: str, fields: EventDict) -> bytes:
    """Render one JSON object; `timestamp` is UTC, RFC 3339."""
    try:
        if "exc_info" in fields:
            replace_exc_info(fields)
        if not is_flat(fields):
            return _dump(level, redact_fields(fields))
        line = _dump(level, fields)
        # Searching the line is cheaper than examining each text.
        return _dump(level, redact_fields(fields)) if b"://" in line else line
    except Exception:  # noqa: BLE001  A line that cannot be rendered must not stop its caller.
        return render_fallback(level, fields)


def _dump(level: str, fields: EventDict) -> bytes:
    line = {"timestamp": datetime.now(UTC), "level": level, **fields}
    return escape_json(orjson.dumps(line, to_json_value, orjson.OPT_UTC_Z))
