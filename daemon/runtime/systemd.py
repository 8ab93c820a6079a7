"""What systemd is told (sd_notify(3)), if it listens; whether it does is never a reason to fail."""

import os
import socket
from collections.abc import Mapping
from datetime import timedelta


def notify(*states: str, environ: Mapping[str, str] = os.environ) -> bool:
    """
    Send `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=…`; returns whether systemd was told.

    A manager that does not read is not waited for.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # abstract: a name that is in no file system
        address = "\0" + address[1:]
    message = "\n".join(state.replace("\n", " ") for state in states).encode(errors="replace")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.setblocking(False)
            manager.sendto(message, address)
    except OSError:
        return False
    return True


def watchdog_interval(*, environ: Mapping[str, str] = os.environ) -> timedelta | None:
    """
    How long systemd waits for a `WATCHDOG=1` before it kills us; None when it does not watch us.

    Send one after each half of it.
    """
    interval, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    ours = pid in ("", str(os.getpid()))
    if not ours or not interval.isascii() or not interval.isdigit():
        return None
    return timedelta(microseconds=int(interval[:18])) or None
