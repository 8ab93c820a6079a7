"""The healthy tenants: a steady trickle of events to quick endpoints, timed from their commit."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING

from tests.faults.environment import Pair
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.receiver import Received, Receiver, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

PACE_SECONDS = 0.05
WEBHOOKS_PER_TENANT = (2, 2, 1)
# An event that has not arrived this long after the last commit counts as never.
STRAGGLERS_SECONDS = 10.0

Delays = list[float]  # from commit to receipt, in ms; infinite for what never arrived


class HealthyTenants:
    """
    Three tenants with five webhooks at `receiver`, and the arrivals of their events.

    They respond after `reply_seconds`.
    """

    def __init__(self, app: Application, receiver: Receiver, *, reply_seconds: float = 0.0) -> None:
        self._app = app
        self._reply = Reply(after=reply_seconds)
        self._received = receiver.received
        self._arrived: dict[Pair, float] = {}
        self._turns: Iterator[tuple[UUID, list[str]]] = iter(())
        receiver.answer = self._answer

    def _answer(self, request: Received) -> Reply:
        self._received.clear()  # only the times are needed
        self._arrived.setdefault(request.pair, request.at)
        return self._reply

    async def add_webhooks(self, url: Callable[[str], str]) -> None:
        """Add the tenants and their webhooks; `url` returns the URL for a path."""
        tenants = []
        for number, webhooks in enumerate(WEBHOOKS_PER_TENANT):
            tenant = await self._app.tenant()
            paths = [f"/healthy/{number}-{each}" for each in range(webhooks)]
            for path in paths:
                await self._app.webhook(tenant, url(path))
            tenants.append((tenant, paths))
        self._turns = cycle(tenants)

    async def delays_ms(self, *, until_true: Callable[[], bool]) -> Delays:
        """Publish 20 events a second until the condition holds; return each delivery's delay."""
        committed: dict[Pair, float] = {}
        due = time.monotonic()
        while not until_true():
            tenant, paths = next(self._turns)
            event = await self._app.event(tenant, {"email_id": "msg_1"})
            at = time.monotonic()
            committed |= {(path, f"evt_{event.hex}"): at for path in paths}
            due += PACE_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        with suppress(TimeoutError):
            await until(lambda: committed.keys() <= self._arrived.keys(), within=STRAGGLERS_SECONDS)
        return [
            max(0.0, self._arrived.get(pair, math.inf) - at) * 1000
            for pair, at in committed.items()
        ]
