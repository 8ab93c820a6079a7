"""From an event's fields to one line, for machines or for people; a line is always one line."""

import json
import os
import re
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.typing import EventDict

from daemon.logs.output import Render
from daemon.logs.redaction import clean, is_flat, message_of, plain, without_secrets

LONGEST_TRACEBACK = 20_000  # characters; a group of a thousand errors must not fill the disk

# C0, C1, what else ends a line, what turns the direction of text on a terminal, lone surrogates.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def to_json(_: Any, method: str, fields: EventDict) -> bytes:
    """Render one JSON object; `timestamp` is UTC, RFC 3339."""
    try:
        if "exc_info" in fields:
            _name_exception(fields)
        flat = is_flat(fields)
        line = _dump(method, fields if flat else clean(fields))
        # The search is cheaper than a look at each text.
        return _dump(method, clean(fields)) if flat and b"://" in line else line
    except Exception:  # noqa: BLE001  A line that cannot be made must not stop what it tells of.
        return _last_resort(method, fields)


def _dump(method: str, fields: EventDict) -> bytes:
    line = {"timestamp": datetime.now(UTC), "level": method, **fields}
    return orjson.dumps(line, plain, orjson.OPT_UTC_Z)


def console(*, colors: bool) -> Render:
    """Make what renders for people, with colours unless NO_COLOR forbids them."""
    draw = ConsoleRenderer(
        colors=colors and not os.environ.get("NO_COLOR"),
        exception_formatter=plain_traceback,
        sort_keys=False,
    )

    def render(_: Any, method: str, fields: EventDict) -> bytes:
        try:
            _name_exception(fields)
            cleaned = clean(fields)
            shown = {_escape(key): _on_one_line(cleaned[key]) for key in cleaned}
            if "exception" in cleaned:
                shown["exception"] = _indent(str(cleaned["exception"]))
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return draw(None, method, {"timestamp": now, "level": method, **shown}).encode()
        except Exception:  # noqa: BLE001  As above.
            return _last_resort(method, fields)

    return render


def _name_exception(fields: EventDict) -> None:
    """Replace `exc_info` by the traceback's text; local variables are never shown."""
    told = fields.pop("exc_info", None)
    if not told:
        return
    error = told
    if not isinstance(told, BaseException):
        error = told[1] if isinstance(told, tuple) else sys.exception()
    if error is not None:
        text = without_secrets(_traceback_of(error))
        fields["exception"] = text[-LONGEST_TRACEBACK:]


def _traceback_of(error: BaseException) -> str:
    """As Python prints it, but that each error of the chain says what it may."""
    told: Any = traceback.TracebackException.from_exception(error, compact=True)
    rest = [(told, error)]
    while rest:
        part, its = rest.pop()
        with suppress(Exception):  # one that cannot be printed is told as just that
            part._str = message_of(its)
        pairs = [
            *((part.__cause__, its.__cause__), (part.__context__, its.__context__)),
            *zip(part.exceptions or (), getattr(its, "exceptions", ()), strict=False),
        ]
        rest += [(inner, cause) for inner, cause in pairs if inner and cause]
    return "".join(told.format()).rstrip("\n")


def _on_one_line(value: object) -> object:
    """Escape in texts what moves the cursor; other types are printed by repr, which does so."""
    return _escape(value) if isinstance(value, str) else value


def _escape(text: str) -> str:
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def _indent(text: str) -> str:
    """Set a traceback off, so that a line of an error's message cannot pass for a log line."""
    return "\n".join(f"    {_escape(line)}" for line in text.split("\n"))


def _last_resort(method: str, fields: EventDict) -> bytes:
    """Write what orjson refuses, lone surrogates and integers beyond 64 bits, or that it fails."""
    line: dict[str, Any] = {"timestamp": datetime.now(UTC).isoformat(), "level": method}
    try:
        return json.dumps(line | clean(fields), default=str).encode()
    except Exception:  # noqa: BLE001  As above.
        return json.dumps(line | {"event": "log.line_unprintable"}).encode()
