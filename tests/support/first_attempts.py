"""Events whose first attempts are made from the inbox, published and counted."""

import asyncio
from collections import Counter
from uuid import UUID

from tests.support.application import Application
from tests.support.receiver import Received, Receiver, Reply

COUNT_INBOX = "SELECT count(*) FROM webhook_event_inbox"
# Attempts are made one at a time, so that all others wait in memory.
ONE_AT_A_TIME = {"per_endpoint": 1}


def times(receiver: Receiver, path: str) -> Counter[int]:
    """How often each event's number came to this path."""
    return Counter(each.event["data"]["n"] for each in receiver.at(path))


async def publish(app: Application, tenant: UUID, count: int, *, first: int = 0) -> None:
    """Commit events with numbers, from `first` on, in one transaction."""
    async with app.db.transaction():
        for number in range(first, first + count):
            await app.event(tenant, {"n": number})


class Gate:
    """The receiver's first responses wait until the gate is opened."""

    def __init__(self, receiver: Receiver, *, first: Reply) -> None:
        self._opened = asyncio.Event()
        self._first = first
        receiver.answer = self._answer

    def open(self) -> None:
        self._opened.set()

    def _answer(self, _: Received) -> Reply:
        return Reply() if self._opened.is_set() else self._first
