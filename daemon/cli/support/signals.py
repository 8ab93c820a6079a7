"""How a command that runs until it is told to stop is told: once in good order, twice at once."""

import asyncio
import os
import signal
from collections.abc import Callable


def stop_on_signals(stop: asyncio.Event, *, at_once: Callable[[], None] = lambda: None) -> None:
    """Ctrl-C and SIGTERM set `stop`; the next one calls `at_once`, and ends."""

    def on_signal() -> None:
        if stop.is_set():
            at_once()
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
