"""A webhook with the id of another tenant's deleted one gets nothing of that tenant's events."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from daemon.pipeline import fanout, result_writer
from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, insert_delivery, settled
from tests.support.foreign_rows import Held
from tests.support.receiver import Receiver

QUICK = {"retry_schedule": ["50ms"]}


INSERT = """
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)
    VALUES ($1, $2, 'another', $3, $4)
"""


async def swap(db: asyncpg.Connection, webhook: UUID, tenant: UUID, url: str) -> None:
    """Delete a webhook, and insert one with its id for another tenant, in a transaction."""
    await db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
    await db.execute(INSERT, webhook, tenant, url, SECRET)


async def health_of(app: Application, webhook: UUID) -> tuple[object, ...]:
    return tuple(
        await app.db.fetchrow(
            "SELECT consecutive_failures, last_success_at, last_failure_at FROM webhooks"
            " WHERE id = $1",
            webhook,
        )
    )


@pytest.fixture(params=[8, 0], ids=["one statement", "a transaction"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many results, at most, are stored by one statement."""
    monkeypatch.setattr(result_writer, "FEW", request.param)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("status", [200, 500])
async def test_the_result_of_a_first_attempt_goes_with_its_webhook(
    app: Application, database: str, receiver: Receiver, status: int
) -> None:
    held = Held(receiver, status=status)
    former, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(former, receiver.url + "/held")
    async with serving(database, delivery=QUICK):
        await app.event(former, {"of": "the former tenant"})
        await held.ids(1)
        async with app.db.transaction():
            await swap(app.db, webhook, other, receiver.url + "/other")
        before = await health_of(app, webhook)
        held.release()
        await until(lambda: inbox_is_empty(app))
        await asyncio.sleep(0.2)  # a next attempt would be due
        unharmed = await health_of(app, webhook)
        await app.event(other, {"of": "the other"})
        await until(lambda: settled(app, webhook, "success", 1))

    rows = await app.deliveries(webhook)
    assert unharmed == before
    assert ["former" in (each["payload"] or "") for each in rows] == [False]
    assert len(receiver.at("/held")) == 1
    assert len(receiver.at("/other")) == 1


@pytest.mark.parametrize("way", ["first attempts", "pending rows"])
async def test_events_that_were_published_during_the_swap_are_not_sent_to_the_other_tenant(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    if way == "pending rows":
        monkeypatch.setattr(fanout, "MANY_WEBHOOKS", 0)
    former, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(former, receiver.url + "/former")
    application = await asyncpg.connect(database)
    async with serving(database, delivery=QUICK):
        await app.event(former, {"n": 0})
        await until(lambda: settled(app, webhook, "success", 1))
        async with application.transaction():
            await swap(application, webhook, other, receiver.url + "/other")
            for number in range(1, 4):
                await app.event(former, {"n": number})
                await asyncio.sleep(0.1)
        own = await app.event(other, {"own": True})
        await until(lambda: receiver.at("/other"))
        await until(lambda: inbox_is_empty(app), within=20)
        await asyncio.sleep(0.2)
    await application.close()

    assert [each.event["id"] for each in receiver.at("/other")] == [f"evt_{own.hex}"]


async def test_no_statement_gives_a_webhooks_deliveries_to_another_one(app: Application) -> None:
    """The foreign keys are checked at the end of a statement only."""
    former, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(former, "https://example.com/former")
    delivery = await insert_delivery(app, webhook)
    take_over = f"""
        WITH away AS (UPDATE webhooks SET id = gen_random_uuid() WHERE id = $1 RETURNING true)
        {INSERT.replace("VALUES ($1, $2, 'another', $3, $4)", "")}
        SELECT $1, $2::uuid, 'another', $3::text, $4::text FROM away
    """

    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is not changed"):
        await app.db.execute(take_over, webhook, other, "https://example.com/other", SECRET)
    await app.db.execute("UPDATE webhooks SET id = id, name = 'renamed' WHERE id = $1", webhook)

    rows = await app.deliveries(webhook)
    assert [row["id"] for row in rows] == [delivery]
    assert await app.db.fetchval("SELECT tenant_id FROM webhooks WHERE id = $1", webhook) == former
