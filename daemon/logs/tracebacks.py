"""Tracebacks as text: without local variables, secrets, and rows that the database quotes."""

import sys
import traceback
from contextlib import suppress
from typing import Any

from structlog.typing import EventDict

from daemon.logs.error_messages import error_message
from daemon.logs.urls import without_secrets

LONGEST_TRACEBACK = 20_000  # characters; a group of a thousand errors must not fill the disk


def replace_exc_info(fields: EventDict) -> None:
    """Replace `exc_info` by the field `exception`, the text of the traceback."""
    exc_info = fields.pop("exc_info", None)
    if not exc_info:
        return
    error = _exception_of(exc_info)
    if error is not None:
        # Redacted before it is cut: a cut could take the scheme off a URL and leave its password.
        fields["exception"] = without_secrets(_format(error))[-LONGEST_TRACEBACK:]


def _exception_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    error = exc_info[1] if isinstance(exc_info, tuple) else sys.exception()
    return error if isinstance(error, BaseException) else None


def _format(error: BaseException) -> str:
    """Format as Python does, with `error_message` for each exception of the chain."""
    formatted: Any = traceback.TracebackException.from_exception(error, compact=True)
    pending = [(formatted, error)]
    while pending:
        part, exception = pending.pop()
        with suppress(Exception):  # a broken __str__ is formatted by Python as such
            part._str = error_message(exception)
        pairs = [
            *((part.__cause__, exception.__cause__), (part.__context__, exception.__context__)),
            *zip(part.exceptions or (), getattr(exception, "exceptions", ()), strict=False),
        ]
        pending += [(inner, cause) for inner, cause in pairs if inner and cause]
    return "".join(formatted.format()).rstrip("\n")
