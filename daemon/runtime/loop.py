"""
How a loop keeps turning: through a lost database, through its own faults, until it is told to stop.

A loop is a thing with a `turn`; here is all that turns have in common. Only this edge catches
every exception, and a pulse tells whoever asks when each loop last came round.
"""

import asyncio
from typing import Protocol

import structlog

from daemon.store.database import UNAVAILABLE, reason

log = structlog.get_logger()

SHORTEST_BACK_OFF = 0.05
LONGEST_BACK_OFF = 1.0


class Loop(Protocol):
    """`wake` cuts a rest short; `turn` does one round and says for how many seconds to rest."""

    name: str
    wake: asyncio.Event

    async def run_once(self) -> float: ...


class Heartbeats:
    """When each loop last came round without a fault, on the event loop's clock."""

    def __init__(self) -> None:
        self._beats: dict[str, float] = {}

    def beat(self, name: str) -> None:
        self._beats[name] = asyncio.get_running_loop().time()

    def ages(self) -> dict[str, float]:
        """Seconds since each loop's last good turn."""
        now = asyncio.get_running_loop().time()
        return {name: now - beat for name, beat in self._beats.items()}


async def run_loop(loop: Loop, *, stop: asyncio.Event, pulse: Heartbeats) -> None:
    """Turn `loop` until `stop`; whoever sets `stop` sets `loop.wake` after it."""
    back_off = 0.0
    pulse.beat(loop.name)
    while not stop.is_set():
        loop.wake.clear()  # before the turn: a wake during it must survive
        try:
            rest = await loop.run_once()
        except UNAVAILABLE as error:
            back_off = _longer(back_off)
            if back_off == SHORTEST_BACK_OFF:
                log.warning("database.lost", loop=loop.name, reason=reason(error))
            rest = back_off
        except Exception:  # the edge of a loop: one bad turn must not end it
            back_off = _longer(back_off)
            log.exception("loop.failed", loop=loop.name)
            rest = back_off
        else:
            if back_off:
                log.info("loop.recovered", loop=loop.name)
            back_off = 0.0
            pulse.beat(loop.name)
        if rest > 0:
            await sleep_until_woken(loop.wake, rest)


async def sleep_until_woken(wake: asyncio.Event, seconds: float) -> None:
    """Rest, but not past a wake."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass


def _longer(back_off: float) -> float:
    return min(LONGEST_BACK_OFF, back_off * 2) or SHORTEST_BACK_OFF
