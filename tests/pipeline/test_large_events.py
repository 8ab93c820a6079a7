"""Events that are too large to be sent, or to be printed, and the largest that are sent."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import ThreadBusyError
from daemon.core.wire import postgres_json
from daemon.pipeline import attempt
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.commandline import webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

TIME = datetime(2025, 1, 1, tzinfo=UTC)
ALL_TIMES = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
LIMIT = {"delivery": {"max_body_bytes": 100_000}}

# JSON that is short where it is typed and stored, and long where it is printed.
EXPLODING = {
    "huge numbers": "[" + ",".join(["1e131071"] * 10_000) + "]",
    "the greatest doubles": "[" + ",".join(["1.7976931348623157e308"] * 60_000) + "]",
    "tiny numbers": "[" + ",".join(["1e-16000"] * 20_000) + "]",
    "zeros with decimal places": '{"a": {"b": [' + ",".join(["0e-16000"] * 20_000) + "]}}",
    "one huge number": "1e131071",
    "long text": f'"{"x" * 300_000}"',
    "an array of a million": "[" + ",".join(["7"] * 400_000) + "]",
}


async def results_of(app: Application, webhook: UUID) -> list[asyncpg.Record]:
    """The webhook's deliveries without their payloads, which may not be printable."""
    rows: list[asyncpg.Record] = await app.db.fetch(
        "SELECT id, event_id, status, error_message, too_large FROM webhook_deliveries"
        " WHERE webhook_id = $1",
        webhook,
    )
    return rows


@pytest.mark.parametrize("data", EXPLODING.values(), ids=EXPLODING)
async def test_an_event_that_is_too_large_fails_once_and_nobody_else_notices(
    app: Application, database: str, receiver: Receiver, data: str
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/large")
    good = await app.webhook(await app.tenant(), receiver.url + "/good")
    async with serving(database, **LIMIT):
        large = await app.event(tenant, text=data)
        small = await app.event(tenant, {"n": 1})
        for _ in range(5):
            await app.event((await app.health(good))["tenant_id"])
        await until(lambda: settled(app, good, "success", 5))
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: settled(app, webhook, "failed", 1))

    rows = {row["event_id"]: row for row in await results_of(app, webhook)}
    assert rows[small]["status"] == "success"
    assert rows[large]["too_large"]
    assert "100,000" in rows[large]["error_message"]
    assert "was not sent" in rows[large]["error_message"]
    assert len(rows) == 2
    assert len(receiver.at("/large")) == 1
    health = await app.health(webhook)
    assert (health["consecutive_failures"], health["last_failure_at"]) == (0, None)
    assert await app.db.fetchval("SELECT count(*) FROM webhook_event_inbox") == 0


@pytest.mark.parametrize("kind", ["huge numbers", "zeros with decimal places", "long text"])
@pytest.mark.parametrize("with_payload", [True, False], ids=["payload", "event alone"])
async def test_a_delivery_that_the_application_inserts_may_be_too_large_too(
    app: Application, database: str, receiver: Receiver, kind: str, with_payload: bool
) -> None:
    data = EXPLODING[kind]
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/large", types=["none"])
    event = await app.event(tenant, text=data)
    async with serving(database, **LIMIT):
        await app.db.execute(
            "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload, status,"
            " next_retry_at) VALUES ($1, $2, $3, 'email.opened', $4, 'pending_retry', now())",
            *(uuid4(), webhook, event, data if with_payload else None),
        )
        await until(lambda: settled(app, webhook, "failed", 1))

    (row,) = await results_of(app, webhook)
    assert row["too_large"]
    assert receiver.received == []


def array_with_body_of(size: int) -> str:
    """A JSON array of zeros of which the whole body has `size` bytes."""
    around = len(
        b'{"id":"evt_","type":"email.opened","created_at":"2025-01-01T00:00:00Z","data":[]}'
    )
    rest = size - around - 32
    count, odd = divmod(rest + 1, 2)
    return "[" + ",".join(["0"] * (count - 1) + ["10" if odd else "0"]) + "]"


@pytest.mark.parametrize(("size", "sent"), [(100_000, True), (100_001, False)])
async def test_a_body_of_exactly_the_limit_is_sent(
    app: Application, database: str, receiver: Receiver, size: int, sent: bool
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, **LIMIT):
        await app.event(tenant, text=array_with_body_of(size), created_at=TIME)
        await until(lambda: settled(app, webhook, "success" if sent else "failed", 1))

    (row,) = await results_of(app, webhook)
    assert row["too_large"] is not sent
    if sent:
        assert len(receiver.received[0].body) == size
    else:
        assert f"{size:,} bytes" in row["error_message"]


async def test_the_greatest_double_in_a_small_event_is_sent_with_all_its_digits(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook", filters={"filters": {"plan": "a"}})
    async with serving(database):
        await app.event(tenant, text='{"plan": "a", "max": 1.7976931348623157e308, "min": 5e-324}')
        await until(lambda: settled(app, webhook, "success", 1))

    assert orjson.loads(receiver.received[0].body)["data"]["min"] == 5e-324


async def test_a_large_event_is_matched_by_its_data(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    wants = await app.webhook(tenant, receiver.url + "/a", filters={"filters": {"plan": "a"}})
    other = await app.webhook(tenant, receiver.url + "/b", filters={"filters": {"plan": "b"}})
    async with serving(database):
        await app.event(tenant, {"plan": "a", "text": [str(n) for n in range(60_000)]})
        await until(lambda: settled(app, wants, "success", 1))

    assert await results_of(app, other) == []


async def test_what_was_too_large_is_not_retried_and_not_exhausted(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving_api(database, tenant, **LIMIT) as api:
        event = await app.event(tenant, text=EXPLODING["huge numbers"])
        await until(lambda: settled(app, webhook, "failed", 1))
        (row,) = await results_of(app, webhook)

        retried = await api.post(f"/api/deliveries/{row['id']}/retry")
        all_failed = await api.post(f"/api/webhooks/{webhook}/retry-failed", json=ALL_TIMES)
        delivery = await api.get(f"/api/deliveries/{row['id']}")
        stored = await api.get(f"/api/events/{event}")
        tested = await api.post(f"/api/webhooks/{webhook}/test", json={"eventType": "email.opened"})

    assert retried.status == 409
    assert all_failed.json["count"] == 0
    assert (delivery.status, delivery.json["exhausted"]) == (200, False)
    assert (stored.status, stored.json["data"], stored.json["dataCut"]) == (200, None, True)
    assert tested.status == 200  # with sample data: that of the latest event is too large


async def test_the_memory_of_one_tenants_large_bodies_delays_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    def answer(request: object) -> Reply:
        return Reply(after=0.4 if getattr(request, "path", "").startswith("/slow") else 0.0)

    receiver.answer = answer
    tenant = await app.tenant()
    slow = [await app.webhook(tenant, f"{receiver.url}/slow{n}") for n in range(5)]
    good = await app.webhook(await app.tenant(), receiver.url + "/good")
    text = orjson.dumps("x" * 3_000_000).decode()
    async with serving(database):
        for _ in range(3):
            await app.event(tenant, text=text)
        await until(lambda: bool(receiver.received))
        await app.event((await app.health(good))["tenant_id"])
        await until(lambda: settled(app, good, "success", 1))
        before = len([each for each in receiver.received if each.path != "/good"])
        for webhook in slow:
            await until(lambda webhook=webhook: settled(app, webhook, "success", 3))

    assert before < 15
    assert len(receiver.received) == 16


async def test_a_contact_is_forgotten_beside_data_that_cannot_be_printed(
    app: Application, database: str, tmp_path: Path
) -> None:
    tenant = await app.tenant()
    numbers = EXPLODING["huge numbers"]
    await app.event(
        tenant,
        text=f'{{"contact_id": "c1", "contacts": {numbers}, "contact": {{"id": {numbers}}}}}',
    )
    kept = await app.event(tenant, text=f'{{"contact": {{"id": {{"x": {numbers}}}}}}}')

    done = await webhookd(
        *("forget", "--tenant", str(tenant), "--contact", "c1", "--yes"),
        folder=tmp_path,
        env={"DATABASE_URL": database},
    )

    assert done.code == 0, done
    assert [row["id"] for row in await app.db.fetch("SELECT id FROM webhook_events")] == [kept]


async def test_what_has_waited_too_long_to_be_signed_is_made_under_another_lease(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "MOST_WAIT_SECONDS", -1.0)
    monkeypatch.setattr(ThreadBusyError, "pause_seconds", 0.1)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url)
    with capture_logs() as lines:
        async with serving(database):
            await app.event(tenant, text=f"[{', '.join(['[' * 2000 + ']' * 2000] * 3)}]")
            await until(lambda: "delivery.postponed" in {line["event"] for line in lines})
            sent_meanwhile = len(receiver.received)
            monkeypatch.setattr(attempt, "MOST_WAIT_SECONDS", 60.0)
            await until(lambda: settled(app, webhook, "success", 1))

    assert sent_meanwhile == 0
    assert len(receiver.received) == 1


async def test_a_large_body_does_not_wait_for_one_that_takes_long_to_print(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, proceed = threading.Event(), threading.Event()
    original = postgres_json.print_in_pieces

    def print_in_pieces(text: str) -> bytes | None:
        began.set()
        assert proceed.wait(30)
        return original(text)

    monkeypatch.setattr("daemon.core.wire.body.print_in_pieces", print_in_pieces)
    long, ordinary = [await app.tenant() for _ in range(2)]
    for tenant, path in ((long, "/long"), (ordinary, "/ordinary")):
        await app.webhook(tenant, receiver.url + path)
    async with serving(database):
        await app.event(long, text=f"[{', '.join(['[]'] * 60_000)}]")
        await until(began.is_set)
        await app.event(ordinary, {"text": "x" * 200_000})
        await until(lambda: receiver.received)
        first = receiver.received[0].path
        proceed.set()
        await until(lambda: len(receiver.received) == 2)

    assert first == "/ordinary"
