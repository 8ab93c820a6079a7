"""
systemd's protocols for services: notifications, passed sockets, the journal on stderr.

The rule: without systemd all of this does nothing, and a failure to notify it is ignored.
"""

import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from datetime import timedelta

FIRST_PASSED = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)
# The levels of sd-daemon(3), by their names in the log.
PRIORITIES = {"critical": 2, "error": 3, "exception": 3, "warning": 4, "info": 6, "debug": 7}


def notify(*states: str, environ: Mapping[str, str] = os.environ) -> bool:
    """
    Send `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=…` or others; return if systemd received it.

    This never blocks: a state is dropped when systemd does not read.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # an abstract address, not in the file system
        address = "\0" + address[1:]
    message = "\n".join(state.replace("\n", " ") for state in states).encode(errors="replace")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            client.setblocking(False)
            client.sendto(message, address)
    except OSError:
        return False
    return True


def is_manager(*, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process runs under systemd as a service that notifies it."""
    return bool(environ.get("NOTIFY_SOCKET"))


def watchdog_interval(*, environ: Mapping[str, str] = os.environ) -> timedelta | None:
    """
    Return how long systemd waits for `WATCHDOG=1` before it kills the process, or None.

    None means that the watchdog is off. Send `WATCHDOG=1` at half this interval.
    """
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    ours = pid in ("", str(os.getpid()))
    if not ours or not usec.isascii() or not usec.isdigit():
        return None
    return timedelta(microseconds=int(usec[:18])) or None


def reloading() -> tuple[str, str]:
    """Return the states that begin a reload; `READY=1` ends it."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def passed_sockets(*, environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """
    Take over the listening sockets that systemd has passed to this process (sd_listen_fds(3)).

    A second call returns none: the variables are removed, as children must not use them.
    """
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isascii() or not count.isdigit():
        return []
    numbers = range(FIRST_PASSED, FIRST_PASSED + int(count[:4]))
    for number in numbers:
        os.set_inheritable(number, False)
    return [socket.socket(fileno=number) for number in numbers]


def is_journal(descriptor: int, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this descriptor is the connection to the journal (`JOURNAL_STREAM`)."""
    try:
        file = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{file.st_dev}:{file.st_ino}"


def with_priority(level: str, lines: bytes) -> bytes:
    """Put the level before each line, as the journal reads it (sd-daemon(3))."""
    prefix = b"<%d>" % PRIORITIES.get(level, PRIORITIES["info"])
    return b"\n".join(prefix + line for line in lines.split(b"\n"))
