"""Notify systemd of the service's state (sd_notify(3)); a failure to do so is ignored."""

import os
import socket
from collections.abc import Mapping
from datetime import timedelta


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
