"""Rows that another transaction holds delay nothing but their own webhook."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from daemon.core.errors import StalledError
from daemon.core.model.attempts import AttemptResult, Claim
from daemon.core.model.ids import WebhookId
from daemon.pipeline import fanout, result_writer, tenant_fanout
from daemon.pipeline.attempt import AttemptMaker
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.store import deliveries, endpoint_health, inbox_leases
from daemon.store.deliveries import Inserted
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.foreign_rows import Held, foreign_rows
from tests.support.receiver import Receiver


async def test_an_attempt_that_is_made_again_waits_for_no_foreign_row(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver knows the id of an attempt that was sent and has no result."""
    original = AttemptMaker.attempt
    told: list[UUID] = []
    inserted = asyncio.Event()

    async def attempt(self: AttemptMaker, claim: Claim, **options: Any) -> AttemptResult:
        if not told:
            told.append(claim.delivery_id)
            await inserted.wait()
            raise StalledError("the process stood still")
        return await original(self, claim, **options)

    monkeypatch.setattr(AttemptMaker, "attempt", attempt)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    async with serving(database):
        await app.event(tenant, {"n": 0})
        await until(lambda: told)
        async with foreign_rows(database, webhook, told):
            inserted.set()
            await until(lambda: settled(app, webhook, "success", 1), within=5)
        await until(lambda: inbox_is_empty(app))

    assert len(receiver.at("/hook")) == 1


async def test_an_inbox_row_that_another_transaction_holds_delays_no_other_result(
    app: Application, database: str, receiver: Receiver
) -> None:
    held = Held(receiver)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/held")
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    other = await asyncpg.connect(database)
    async with serving(database):
        await app.event(tenant, {"n": 0})
        await held.ids(1)
        await other.execute("BEGIN")
        await other.execute("SELECT FROM webhook_event_inbox FOR UPDATE")
        held.release()
        await until(lambda: receiver.open_now == 0)
        for number in range(10):
            await app.event(other_tenant, {"n": number})
            await until(lambda n=number: settled(app, free, "success", n + 1), within=5)
        stored_meanwhile = await app.deliveries(webhook)
        await other.execute("ROLLBACK")
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: inbox_is_empty(app))
    await other.close()

    assert stored_meanwhile == []
    assert len(receiver.at("/held")) == 1


LOCK_ROW = "SELECT FROM webhook_event_inbox WHERE event_id = $1 FOR UPDATE"
LEASE_TO_ANOTHER = """
    UPDATE webhook_event_inbox SET leased_by = 7, leased_until = 'infinity' WHERE event_id = $1
"""


@pytest.mark.parametrize("loses_it", [False, True], ids=["held", "lost"])
async def test_one_event_that_is_held_or_lost_delays_no_other_of_its_batch(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    loses_it: bool,
) -> None:
    monkeypatch.setattr(result_writer, "FEW", 0)  # only transactions of several statements
    held = Held(receiver)
    tenants = [await app.tenant() for _ in range(12)]
    webhooks = [await app.webhook(each, f"{receiver.url}/held/{each}") for each in tenants]
    other = await asyncpg.connect(database)
    async with serving(database):
        events = [await app.event(each) for each in tenants]
        await held.ids(12)
        await other.execute("BEGIN")
        await other.execute(LOCK_ROW, events[5])
        if loses_it:
            await other.execute(LEASE_TO_ANOTHER, events[5])
            await other.execute("COMMIT")
        held.release()
        for webhook in webhooks[:5] + webhooks[6:]:
            await until(lambda w=webhook: settled(app, w, "success", 1))
        stored_meanwhile = await app.deliveries(webhooks[5])
        await other.execute("ROLLBACK")
        if not loses_it:
            await until(lambda: inbox_is_empty(app))
    await other.close()

    assert stored_meanwhile == []
    assert len(await app.deliveries(webhooks[5])) == (0 if loses_it else 1)
    assert await inbox_is_empty(app) is not loses_it
    assert len(receiver.received) == 12


@pytest.mark.parametrize("way", ["together", "of one tenant", "one by one", "in pieces"])
async def test_an_event_that_another_transaction_holds_is_fanned_out_once_that_ends(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Another daemon's lease statement may lock rows of ours: their leases are not awaited."""
    match way:
        case "of one tenant":
            monkeypatch.setattr(fanout, "TENANT_DELIVERIES", 0)
        case "one by one":
            monkeypatch.setattr(fanout, "MANY_WEBHOOKS", 0)
        case "in pieces":
            monkeypatch.setattr(fanout, "TENANT_DELIVERIES", 0)
            monkeypatch.setattr(tenant_fanout, "INSERTED_AT_ONCE", 1)
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(2)]
    # Failing endpoints get their rows from fan-out.
    await app.db.execute("UPDATE webhooks SET is_failing = TRUE")
    other = await asyncpg.connect(database)
    tried = asyncio.Event()

    def holding(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            if not tried.is_set():
                await other.execute("BEGIN")
                await other.execute("SELECT FROM webhook_event_inbox FOR UPDATE")
            try:
                return await original(*args, **options)
            finally:
                tried.set()

        return call

    monkeypatch.setattr(deliveries, "insert_all", holding(deliveries.insert_all))
    monkeypatch.setattr(deliveries, "insert_some", holding(deliveries.insert_some))
    monkeypatch.setattr(inbox_leases, "prolong", holding(inbox_leases.prolong))
    async with serving(database):
        await app.event(tenant, {"n": 0})
        await tried.wait()
        await other.execute("ROLLBACK")
        for webhook in webhooks:
            await until(lambda w=webhook: settled(app, w, "success", 1), within=10)
        await until(lambda: inbox_is_empty(app))
    await other.close()

    assert sorted(each.path for each in receiver.received) == ["/0", "/1"]


async def test_results_that_are_held_take_no_room_from_others(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = endpoint_health.lock_health
    mixed: list[set[WebhookId]] = []

    async def lock_health(db: Any, ids: Collection[WebhookId], **options: Any) -> Any:
        if not set(ids) <= locked and not locked.isdisjoint(ids):
            mixed.append(set(ids))
        return await original(db, ids, **options)

    held = Held(receiver)
    tenant = await app.tenant()
    locked = {WebhookId(await app.webhook(tenant, f"{receiver.url}/held/{n}")) for n in range(6)}
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    other = await asyncpg.connect(database)
    async with serving(database):
        await app.event(tenant, {"n": 0})
        await held.ids(6)
        await other.execute("BEGIN")
        await other.execute("SELECT FROM webhooks WHERE id = ANY ($1) FOR UPDATE", list(locked))
        held.release()
        await until(lambda: receiver.open_now == 0)
        await app.event(other_tenant, {"n": 0})
        await until(lambda: settled(app, free, "success", 1))
        monkeypatch.setattr(endpoint_health, "lock_health", lock_health)
        monkeypatch.setattr(result_writer, "FEW", 0)  # only transactions of several statements
        for number in range(1, 20):
            await app.event(other_tenant, {"n": number})
            await until(lambda n=number: settled(app, free, "success", n + 1))
        await other.execute("ROLLBACK")
        for webhook in locked:
            await until(lambda w=webhook: settled(app, w, "success", 1))
        await until(lambda: inbox_is_empty(app))
    await other.close()

    assert mixed == []
    assert len(receiver.received) == 26


async def test_events_for_locked_webhooks_pause_before_they_are_fanned_out_again(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = DeliveryInserter.insert
    inserted: list[UUID] = []

    async def insert(
        self: DeliveryInserter, matched: Sequence[MatchedEvent], **options: Any
    ) -> Inserted:
        inserted.extend(webhook for each in matched for webhook in each.webhooks)
        return await original(self, matched, **options)

    monkeypatch.setattr(DeliveryInserter, "insert", insert)
    locked = await app.webhook(tenant := await app.tenant(), receiver.url + "/locked")
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    # A failing endpoint gets its rows from fan-out.
    await app.db.execute("UPDATE webhooks SET is_failing = TRUE WHERE id = $1", locked)
    other = await asyncpg.connect(database)
    async with serving(database):
        await other.execute("BEGIN")
        await other.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", locked)
        await app.event(tenant, {"n": 0})
        await until(lambda: locked in inserted)
        for number in range(50):
            await app.event(other_tenant, {"n": number})
            await until(lambda n=number: settled(app, free, "success", n + 1))
        tries = inserted.count(locked)
        await other.execute("ROLLBACK")
        await until(lambda: settled(app, locked, "success", 1))
        await until(lambda: inbox_is_empty(app))
    await other.close()

    assert tries < 50  # fewer than the events that were delivered meanwhile
    assert len(receiver.at("/locked")) == 1
