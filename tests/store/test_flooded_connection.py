"""A flood of notifications is noticed while it is read, not after megabytes of it were read."""

import asyncio

import pytest

from daemon.store.notification_channel import BURST
from daemon.store.pg_notifications import Notifications


@pytest.mark.parametrize(("read_at_once", "is_flood"), [(1000, False), (2 * int(BURST), True)])
async def test_what_one_read_brings_is_counted_before_the_next(
    database: str, read_at_once: int, is_flood: bool
) -> None:
    heard: list[str] = []
    ended = asyncio.Event()
    notifications = Notifications(database, {"busy": heard.append})
    await notifications.open(on_lost=ended.set)
    connection = notifications._connection
    assert connection is not None

    for number in range(read_at_once):  # as the protocol does for what is in its buffer
        connection._process_notification(1, "busy", str(number))

    assert notifications.is_paused("busy") == is_flood
    assert (len(heard) == read_at_once) != is_flood
    if is_flood:
        async with asyncio.timeout(10):
            await ended.wait()
    await notifications.close()


async def test_a_flood_between_two_messages_of_a_check_ends_it_without_an_error(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifications = Notifications(database, {"busy": lambda _: None})
    await notifications.open(on_lost=lambda: None)
    connection = notifications._connection
    assert connection is not None
    get_statement = connection._get_statement

    async def flooded(*args: object, **kwargs: object) -> object:
        statement = await get_statement(*args, **kwargs)
        for number in range(2 * int(BURST)):  # read together with the reply
            connection._process_notification(1, "busy", str(number))
        await asyncio.sleep(0)
        return statement

    monkeypatch.setattr(connection, "_get_statement", flooded)

    assert await notifications.check() == 0.0
    assert notifications.is_paused("busy")
    assert not notifications.is_open
    await notifications.close()
