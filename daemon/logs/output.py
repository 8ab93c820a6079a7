"""Write whole lines to a stream; a line that cannot be written is lost, and nothing is raised."""

import asyncio
import io
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from structlog.typing import EventDict

MOST_WAITING = 1000


class Renderer(Protocol):
    """Renders an event's fields as a line, without a line ending; it never raises."""

    def __call__(self, logger: Any, name: str, event_dict: EventDict, /) -> bytes: ...


class Output:
    """
    A stream that may be closed, full or broken (EPIPE, EAGAIN, ENOSPC).

    Lines that it does not accept are lost and counted; a warning with their number precedes the
    next line that it accepts.
    """

    def __init__(self) -> None:
        self._send: Callable[[bytes], int | None] = len
        self._renderer: Renderer | None = None
        self._unsent = b""  # the rest of lines that were accepted in part
        self._lost = 0
        self._waiting: list[bytes] = []

    def redirect(self, stream: TextIO | None, renderer: Renderer) -> None:
        """Write to `stream` from now on; without one (no stderr) every line is dropped."""
        self.flush()
        self._send = len if stream is None else _sender(stream)
        self._renderer = renderer
        self._unsent, self._lost = b"", 0

    def write(self, line: bytes) -> None:
        """Write one line and its line ending, after those that wait."""
        self._waiting.append(line)
        self.flush()

    def write_soon(self, line: bytes) -> None:
        """
        Write one line together with others of this iteration of the event loop.

        A batch of deliveries has hundreds of lines, and each would cost a system call.
        """
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:  # no loop is running
                self.flush()
        elif len(self._waiting) >= MOST_WAITING:
            self.flush()

    debug = info = write_soon
    warning = error = critical = write

    def flush(self) -> None:
        """Write the lines that wait."""
        if not self._waiting:
            return
        lines, self._waiting = self._waiting, []
        data = b"\n".join(lines) + b"\n"
        if self._lost:
            data = self._lost_lines_warning() + data
        self._lost = 0 if self._put(data) else self._lost + len(lines)

    def _put(self, data: bytes) -> bool:
        """Send the unsent rest and `data`; return whether any part of `data` was accepted."""
        before = len(self._unsent)
        everything = self._unsent + data
        try:
            sent = self._send(everything) or 0
        except (OSError, ValueError):  # ValueError: the stream is closed
            sent = 0
        accepted = sent > before
        self._unsent = everything[sent:] if accepted else self._unsent[sent:]
        return accepted

    def _lost_lines_warning(self) -> bytes:
        assert self._renderer is not None
        fields = {"event": "log.lines_lost", "lines": self._lost}
        return self._renderer(None, "warning", fields) + b"\n"


def _sender(stream: TextIO) -> Callable[[bytes], int | None]:
    """
    Return the cheapest way to write: one system call per line if the stream is a file.

    It goes through the file object, not its descriptor: after a close the number may be a socket's.
    """
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, io.FileIO):
        return raw.write

    def send(data: bytes) -> int:
        stream.write(data.decode())
        stream.flush()
        return len(data)

    return send
