"""When the last success of a healthy webhook is written: seldom, and in the end always."""

from datetime import datetime
from uuid import UUID

import asyncpg
import pytest

from daemon.pipeline import health_writer
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

HOUR = 3600.0


async def send(app: Application, tenant: UUID, webhook: UUID, *, inserted: bool = False) -> None:
    """Have one more success of the webhook stored: of an event, or of a row of the application."""
    count = len(await app.deliveries(webhook))
    if inserted:
        await app.db.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload)"
            " VALUES ($1, gen_random_uuid(), 'email.opened', '{}')",
            webhook,
        )
    else:
        await app.event(tenant)
    await until(lambda: settled(app, webhook, "success", count + 1))


async def newest_attempt(app: Application, webhook: UUID) -> datetime:
    at: datetime = max(each["attempted_at"] for each in await app.deliveries(webhook))
    return at


async def last_success(app: Application, webhook: UUID) -> datetime | None:
    at: datetime | None = (await app.health(webhook))["last_success_at"]
    return at


async def is_written(app: Application, webhook: UUID) -> bool:
    """Whether the column has the newest success."""
    at = await last_success(app, webhook)
    return at is not None and at >= await newest_attempt(app, webhook)


@pytest.mark.parametrize("inserted", [False, True])
async def test_the_last_success_of_a_burst_is_written_when_its_time_has_come(
    *,
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    inserted: bool,
) -> None:
    monkeypatch.setattr(health_writer, "LAST_SUCCESS_SECONDS", HOUR)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    async with serving(database):
        await send(app, tenant, webhook, inserted=inserted)
        assert await is_written(app, webhook)
        await send(app, tenant, webhook, inserted=inserted)
        assert not await is_written(app, webhook)

        monkeypatch.setattr(health_writer, "LAST_SUCCESS_SECONDS", 0.0)
        await until(lambda: is_written(app, webhook))


async def test_what_is_not_written_is_when_the_daemon_stops(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_writer, "LAST_SUCCESS_SECONDS", HOUR)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    async with serving(database):
        for _ in range(2):
            await send(app, tenant, webhook)
        assert not await is_written(app, webhook)

    assert await is_written(app, webhook)


async def test_a_failure_writes_the_success_before_it(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_writer, "LAST_SUCCESS_SECONDS", HOUR)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    async with serving(database):
        for _ in range(2):
            await send(app, tenant, webhook)
        success = await newest_attempt(app, webhook)
        receiver.answer = lambda _: Reply(status=500)
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))
        health = await app.health(webhook)
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 2))
        assert await last_success(app, webhook) == health["last_success_at"]

    assert success <= health["last_success_at"] <= health["last_failure_at"]


@pytest.mark.parametrize(
    ("change", "written"),
    [
        ("UPDATE webhooks SET is_active = false; UPDATE webhooks SET is_active = true", True),
        # The application's time of a pause is not to make each success a new version of the row.
        ("UPDATE webhooks SET paused_at = 'infinity'", False),
    ],
)
async def test_the_first_success_after_a_pause_is_written_at_once(
    *,
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    written: bool,
) -> None:
    monkeypatch.setattr(health_writer, "LAST_SUCCESS_SECONDS", HOUR)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    async with serving(database):
        await send(app, tenant, webhook)
        await app.db.execute(change)
        await send(app, tenant, webhook)
        assert await is_written(app, webhook) is written
        await send(app, tenant, webhook)
        assert not await is_written(app, webhook)


async def test_the_success_of_a_locked_webhook_is_written_later(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_writer, "LAST_SUCCESS_SECONDS", 0.05)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    other = await asyncpg.connect(database)
    async with serving(database):
        async with other.transaction():
            await other.execute("SELECT FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", webhook)
            await send(app, tenant, webhook)
            assert await last_success(app, webhook) is None
        await until(lambda: is_written(app, webhook))
    await other.close()
