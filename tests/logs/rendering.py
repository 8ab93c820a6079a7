"""Loggers that write to a stream, and an error with a secret in its message."""

import io
from collections.abc import Callable

import structlog
from structlog.typing import FilteringBoundLogger

from daemon import logs

CANARY = "c4n4ry"
Render = Callable[..., dict[str, object]]


def logger_to(stream: io.TextIOBase | None, form: str = "json") -> FilteringBoundLogger:
    logs.configure(form, "info", stream)  # type: ignore[arg-type]
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def login(password: str) -> None:
    raise ConnectionError(f"cannot log in to postgresql://u:{password}@h/d")
