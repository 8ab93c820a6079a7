"""Stopping a command by a signal: the first one stops it in order, the second one at once."""

import asyncio
import os
import signal
from collections.abc import Callable


def stop_on_signals(
    stop: asyncio.Event,
    *,
    on_stop: Callable[[], None] = lambda: None,
    at_once: Callable[[], None] = lambda: None,
) -> None:
    """
    Set `stop` and call `on_stop` at Ctrl-C or SIGTERM.

    A signal after `stop` is set calls `at_once` and ends the process with exit code 1.
    """

    def on_signal() -> None:
        if stop.is_set():
            at_once()
            os._exit(1)
        stop.set()
        on_stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
