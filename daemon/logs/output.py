"""Where lines go: whole lines or none, and never an exception to the one who logs."""

import io
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from structlog.typing import EventDict


class Render(Protocol):
    """What makes a line, without its end, of an event's fields; it never raises."""

    def __call__(self, logger: Any, name: str, event_dict: EventDict, /) -> bytes: ...


class Output:
    """
    A stream that may be closed, full or gone (EPIPE, EAGAIN, ENOSPC).

    Lines that it does not take are lost and counted; the next that it takes is preceded by a
    warning that tells how many.
    """

    def __init__(self) -> None:
        self._send: Callable[[bytes], int | None] = len
        self._render: Render | None = None
        self._rest = b""  # of a line that was taken in part
        self._lost = 0

    def aim(self, stream: TextIO | None, render: Render) -> None:
        """Write to `stream` from now on; None, a process without stderr, swallows everything."""
        self._send = len if stream is None else _sender(stream)
        self._render = render
        self._rest, self._lost = b"", 0

    def write(self, line: bytes) -> None:
        """Write one line; its end is added."""
        told = self._confession() + line + b"\n" if self._lost else line + b"\n"
        self._lost = 0 if self._put(told) else self._lost + 1

    debug = info = warning = error = critical = write

    def _put(self, line: bytes) -> bool:
        before = len(self._rest)
        data = self._rest + line
        try:
            sent = self._send(data) or 0
        except (OSError, ValueError):  # ValueError: the stream is closed
            sent = 0
        taken = sent > before
        self._rest = data[sent:] if taken else self._rest[sent:]
        return taken

    def _confession(self) -> bytes:
        assert self._render is not None
        fields = {"event": "log.lines_lost", "lines": self._lost}
        return self._render(None, "warning", fields) + b"\n"


def _sender(stream: TextIO) -> Callable[[bytes], int | None]:
    """
    Pick the cheapest way in: one system call a line, where there is a file.

    By way of the file object, not its number: after a close the number may be a socket's.
    """
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, io.FileIO):
        return raw.write

    def send(data: bytes) -> int:
        stream.write(data.decode())
        stream.flush()
        return len(data)

    return send
