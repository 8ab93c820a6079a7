"""What deliveries leave behind is freed at once: the garbage collector would stop the loop."""

import gc
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

EVENTS = 60


@pytest.fixture
def kept_garbage() -> Iterator[list[object]]:
    """What the collector finds from now on, instead of freeing it."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


async def test_a_delivery_leaves_no_cycles_of_references(
    app: Application, database: str, receiver: Receiver, kept_garbage: list[object]
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        for count in (EVENTS, 2 * EVENTS):  # on new connections first, and then on kept ones
            await app.events(tenant, EVENTS)
            await until(partial(settled, app, webhook, "success", count))
        gc.collect()
        left = Counter(
            type(each).__qualname__
            for each in kept_garbage
            if type(each).__module__.startswith(("daemon.", "httptools."))
        )

    assert max(left.values(), default=0) < EVENTS / 4, left
