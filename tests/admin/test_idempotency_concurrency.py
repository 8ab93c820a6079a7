"""Idempotency keys of requests at once, of clients that gave up and of daemons that were killed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from daemon.store import idempotency_keys, session
from tests.support.api_client import OPERATOR, ApiClient, operator_client, serving_api
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, until
from tests.support.idempotency import LEASE_IS_OVER, SECURE, WEBHOOK, keyed, webhooks
from tests.support.locks import waits_for_lock
from tests.support.receiver import Receiver


@pytest.fixture(autouse=True)
def wait_for_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may hold the locks of these tests for longer than a request would wait."""
    monkeypatch.setattr(session, "LIMIT_LOCK_WAITS", "SET lock_timeout = '8s'")


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant, security=SECURE) as caller:
        yield caller


async def test_of_two_equal_requests_at_once_one_acts(
    app: Application, database: str, tenant: UUID, receiver: Receiver
) -> None:
    """At two daemons; every answer is the same one, or says that the first is running."""
    async with (
        serving_api(database, tenant, security=SECURE) as here,
        serving_api(database, tenant, security=SECURE) as there,
    ):
        for n in range(20):
            answers = await asyncio.gather(
                *(keyed(each, "/api/webhooks", WEBHOOK, key=f"{n}") for each in (here, there) * 3)
            )
            assert {each.status for each in answers} in ({201}, {201, 409})
            assert len({each.text for each in answers if each.status == 201}) == 1
            assert await webhooks(app) == n + 1
        # A test event has no transaction: its receiver says how often it was sent.
        webhook = await here.create_webhook(f"{receiver.url}/hook")
        path = f"/api/webhooks/{webhook['id']}/test"
        async with app.db.transaction():
            await app.db.execute("LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(keyed(here, path))
            await until(lambda: _keys(app, 21))
            meanwhile = await keyed(there, path)
        sent, again = await first, await keyed(there, path)

    assert (meanwhile.status, "Retry-After" in meanwhile.headers) == (409, True)
    assert (sent.status, again.text) == (200, sent.text)
    assert len(receiver.at("/hook")) == 1


async def _keys(app: Application, count: int) -> bool:
    return bool(count == await app.db.fetchval("SELECT count(*) FROM webhook_idempotency_keys"))


async def test_a_client_that_gave_up_finds_what_its_request_did(
    app: Application, api: ApiClient
) -> None:
    webhook = await api.create_webhook(WEBHOOK["endpointUrl"])
    path = f"/api/webhooks/{webhook['id']}/pause"
    async with app.db.transaction():
        await app.db.execute("SELECT FROM webhooks FOR UPDATE")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(keyed(api, path), 0.3)

    await until(lambda: _status_is(app, 200))
    again = await keyed(api, path)

    assert (again.status, again.json["isActive"]) == (200, False)
    assert again.headers["Idempotency-Replayed"] == "true"


async def _status_is(app: Application, status: int) -> bool:
    return bool(status == await app.db.fetchval("SELECT status FROM webhook_idempotency_keys"))


SETTINGS = f'[security]\nmaster_keys = ["{SECURE["master_keys"][0]}"]'
TOKENS = {"WEBHOOKD_ADMIN__TOKENS": f'["{OPERATOR}"]'}
HOLD_ANSWERS = """
    CREATE FUNCTION hold_answer() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(4711);
        RETURN NEW;
    END $$;
    CREATE TRIGGER hold_answer BEFORE UPDATE ON webhook_idempotency_keys
        FOR EACH ROW WHEN (NEW.status IS NOT NULL) EXECUTE FUNCTION hold_answer();
"""


async def killed_during_create(database: str, folder: Path, tenant: UUID, *, when: Any) -> None:
    """Kill a daemon while it creates a webhook, once `when` is true."""
    async with (
        daemon(database, folder, settings=SETTINGS, port=free_port(), variables=TOKENS) as victim,
        operator_client(victim, tenant) as caller,
    ):
        creating = asyncio.create_task(keyed(caller, "/api/webhooks", WEBHOOK))
        await until(when)
        await victim.kill()
        with pytest.raises(aiohttp.ClientError):
            await creating


async def test_a_daemon_killed_after_the_change_makes_it_no_second_time(
    app: Application, api: ApiClient, database: str, tenant: UUID, tmp_path: Path
) -> None:
    await app.db.execute(HOLD_ANSWERS)
    await app.db.execute("SELECT pg_advisory_lock(4711)")
    await killed_during_create(database, tmp_path, tenant, when=lambda: webhooks(app))
    await app.db.execute("SELECT pg_advisory_unlock(4711)")
    await until(lambda: _nothing_waits(app))

    at_once = await keyed(api, "/api/webhooks", WEBHOOK)
    await app.db.execute(LEASE_IS_OVER)
    later = await keyed(api, "/api/webhooks", WEBHOOK)

    assert (at_once.status, later.status, await webhooks(app)) == (409, 409, 1)
    assert "still running" in at_once.error
    assert later.json["id"] == str(await app.db.fetchval("SELECT id FROM webhooks"))


async def test_a_daemon_killed_before_the_change_leaves_it_to_a_repeat(
    app: Application, api: ApiClient, database: str, tenant: UUID, tmp_path: Path
) -> None:
    async with app.db.transaction():
        await app.db.execute("LOCK TABLE webhooks IN SHARE MODE")
        await killed_during_create(database, tmp_path, tenant, when=lambda: _keys(app, 1))
    await until(lambda: _nothing_waits(app))
    assert await webhooks(app) == 0

    at_once = await keyed(api, "/api/webhooks", WEBHOOK)
    await app.db.execute(LEASE_IS_OVER)
    answers = [await keyed(api, "/api/webhooks", WEBHOOK) for _ in range(2)]

    assert at_once.status == 409
    assert [each.status for each in answers] == [201, 201]
    assert answers[0].text == answers[1].text
    assert await webhooks(app) == 1


async def _nothing_waits(app: Application) -> bool:
    return not await waits_for_lock(app)


async def test_a_request_whose_key_was_taken_over_changes_nothing(
    app: Application, api: ApiClient
) -> None:
    """It ran longer than its claim: the repeat acts, and the first one is rolled back."""
    webhook = await api.create_webhook(WEBHOOK["endpointUrl"])
    path = f"/api/webhooks/{webhook['id']}/rotate-secret"
    async with app.db.transaction():
        await app.db.execute("SELECT FROM webhooks FOR UPDATE")
        first = asyncio.create_task(keyed(api, path))
        await until(lambda: waits_for_lock(app))
        await app.db.execute("UPDATE webhook_idempotency_keys SET claim_id = gen_random_uuid()")

    late = await first

    assert late.status == 409
    assert await app.db.fetchval("SELECT previous_secret_key FROM webhooks") is None


async def test_a_key_that_others_claim_and_give_back_is_in_use_and_not_one_too_many(
    api: ApiClient, app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_lost(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr(idempotency_keys, "claim", is_lost)

    answer = await keyed(api, "/api/webhooks", WEBHOOK)

    assert (answer.status, await webhooks(app)) == (409, 0)
    assert "still running" in answer.error
