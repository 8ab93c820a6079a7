"""Render a line that the usual renderer cannot."""

import json
from datetime import UTC, datetime
from typing import Any

from structlog.typing import EventDict

from daemon.logs.values import redact_fields


def render_fallback(level: str, fields: EventDict) -> bytes:
    """
    Render JSON with the standard library.

    It accepts what orjson refuses: lone surrogates, and integers beyond 64 bits. If that fails too,
    the line says only that rendering failed.
    """
    line: dict[str, Any] = {"timestamp": datetime.now(UTC).isoformat(), "level": level}
    try:
        return json.dumps(line | redact_fields(fields), default=str).encode()
    except Exception:  # noqa: BLE001  A line that cannot be rendered must not stop its caller.
        return json.dumps(line | {"event": "log.rendering_failed"}).encode()
