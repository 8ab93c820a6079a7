"""Operational events: each transition is reported once, to the webhooks of the right scopes."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from daemon.core.wire.verification import verify
from daemon.pipeline import operational_fanout
from tests.support.api_client import serving_api
from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.operational import (
    QUICK,
    all_sent,
    fail,
    failing_at,
    nothing_waiting,
    of_type,
    scoped_webhook,
    types,
    waiting,
)
from tests.support.receiver import Receiver, Reply


async def test_each_transition_is_reported_once_to_the_account_and_to_operators_and_to_nobody_else(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant, other, operators = [await app.tenant() for _ in range(3)]
    down = await app.webhook(tenant, f"{receiver.url}/down")
    await app.webhook(tenant, f"{receiver.url}/events", types=["*"])
    await scoped_webhook(app, tenant, f"{receiver.url}/account", "account")
    await scoped_webhook(app, other, f"{receiver.url}/foreign", "account")
    await scoped_webhook(app, operators, f"{receiver.url}/operator", "operator")
    await scoped_webhook(app, tenant, f"{receiver.url}/odd", "Account")
    async with serving(database, delivery=QUICK), serving(database, delivery=QUICK):
        await fail(app, tenant, down, 10)
        await until(lambda: all_sent(app))
        await until(lambda: len(receiver.at("/events")) == 10)

    expected = {
        "webhook.failing": 1,
        "webhook.nearly_paused": 1,
        "webhook.paused": 1,
        "delivery.exhausted": 10,
    }
    account, operator = receiver.at("/account"), receiver.at("/operator")
    assert types(account) == types(operator) == expected
    assert {each.event["id"] for each in account} == {each.event["id"] for each in operator}
    assert len({each.event["id"] for each in account}) == 13
    assert receiver.at("/foreign") == receiver.at("/odd") == []
    assert types(receiver.at("/events")) == {"email.opened": 10}
    about = {"tenant_id": str(tenant), "webhook_id": str(down), "webhook_name": "a webhook"}
    error = "the receiver answered 503 Service Unavailable"
    assert of_type(account, "webhook.failing") == [
        about | {"consecutive_failures": 2, "reason": error, "count": 1}
    ]
    assert of_type(account, "webhook.nearly_paused") == [
        about | {"consecutive_failures": 9, "reason": error, "count": 1}
    ]
    assert of_type(account, "webhook.paused") == [
        about | {"consecutive_failures": 10, "reason": "failures", "count": 1}
    ]
    failed = {str(row["id"]): str(row["event_id"]) for row in await app.deliveries(down)}
    exhausted = of_type(account, "delivery.exhausted")
    assert {each["delivery_id"]: each["event_id"] for each in exhausted} == failed
    assert {each["event_type"] for each in exhausted} == {"email.opened"}
    assert sorted(each["consecutive_failures"] for each in exhausted) == list(range(1, 11))
    assert await app.db.fetchval("SELECT count(*) FROM webhook_events") == 10


async def test_an_operational_event_is_signed_and_retried_like_any_other_and_raises_none(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down", "/account")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"])
    account = await scoped_webhook(app, tenant, f"{receiver.url}/account", "account")
    await scoped_webhook(app, tenant, f"{receiver.url}/pager", "operator")
    settings = QUICK | {"retry_schedule": ["100ms"] * 3, "failing_after": 4}
    async with serving(database, delivery=settings):
        await app.event(tenant)
        await until(lambda: len(receiver.at("/account")) == 8)
        await until(lambda: all_sent(app))

    requests = receiver.at("/account")
    by_event = Counter(each.event["id"] for each in requests)
    assert types(requests) == {"webhook.failing": 4, "delivery.exhausted": 4}
    assert set(by_event.values()) == {4}
    assert len({each.body for each in requests}) == 2
    for each in requests:
        assert verify(each.body, each.headers["x-penguinmails-signature"], [SECRET])
    assert (await app.health(account))["is_failing"]
    assert await app.notices(account) == ["webhook_failing", "webhook_half_way"]
    assert types(receiver.at("/pager")) == {"webhook.failing": 1, "delivery.exhausted": 1}
    assert {each.event["data"]["webhook_id"] for each in receiver.at("/pager")} == {str(down)}


async def test_a_recovery_and_pauses_by_people_are_reported_and_a_deletion_is_none(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/flaky")
    tenant = await app.tenant()
    flaky = await app.webhook(tenant, f"{receiver.url}/flaky")
    deleted = await app.webhook(tenant, f"{receiver.url}/deleted", types=["none"])
    pager = await scoped_webhook(
        app, tenant, f"{receiver.url}/pager", "account", types=["webhook.*"]
    )
    async with serving_api(database, tenant, delivery=QUICK) as api:
        await fail(app, tenant, flaky, 2)
        failing_at(receiver)
        await app.event(tenant)
        await until(lambda: len(receiver.at("/pager")) == 2)
        await api.post(f"/api/webhooks/{flaky}/pause")
        await api.post(f"/api/webhooks/{flaky}/pause")
        await until(lambda: len(receiver.at("/pager")) == 3)
        await api.post(f"/api/webhooks/{flaky}/resume")
        await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", flaky)
        await api.delete(f"/api/webhooks/{deleted}")
        await until(lambda: len(receiver.at("/pager")) == 4)
        await api.post(f"/api/webhooks/{pager}/pause")
        assert await waiting(app) == 0

    requests = receiver.at("/pager")
    assert [each.event["type"] for each in requests] == [
        *("webhook.failing", "webhook.recovered"),
        *("webhook.paused", "webhook.paused"),
    ]
    assert of_type(requests, "webhook.recovered")[0]["consecutive_failures"] == 0
    assert [each["reason"] for each in of_type(requests, "webhook.paused")] == ["person"] * 2


async def test_filters_apply_to_the_data_and_a_paused_webhook_gets_nothing(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/gone", status=410)
    tenant = await app.tenant()
    gone = await app.webhook(tenant, f"{receiver.url}/gone")
    for path, filters in {"/gone-only": "gone", "/failures-only": "failures"}.items():
        await scoped_webhook(
            *(app, tenant, f"{receiver.url}{path}", "account"),
            types=["webhook.paused", "email.*"],
            filters={"filters": {"reason": filters}},
        )
    paused = await scoped_webhook(app, tenant, f"{receiver.url}/paused", "account")
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)
    settings = QUICK | {"retry_schedule": ["1h"]}
    async with serving(database, delivery=settings):
        await app.event(tenant)
        await until(lambda: receiver.at("/gone-only"))
        await until(lambda: nothing_waiting(app))

    assert types(receiver.at("/gone-only")) == {"webhook.paused": 1}
    # Its retry waits until the webhook is resumed: nothing is exhausted.
    assert await settled(app, gone, "pending_retry", 1)
    assert receiver.at("/failures-only") == receiver.at("/paused") == []


async def test_a_chain_that_goes_on_is_not_exhausted_and_a_manual_one_that_ends_is(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down")
    await scoped_webhook(
        app, tenant, f"{receiver.url}/pager", "account", types=["delivery.exhausted"]
    )
    beside = await insert_delivery(app, down, attempt_number=9)
    event = (await app.deliveries(down))[0]["event_id"]
    await insert_delivery(app, down, event_id=event, attempt_number=1, next_retry_at=None)
    async with serving_api(database, tenant, delivery=QUICK) as api:
        await until(lambda: settled(app, down, "failed", 1))
        assert await waiting(app) == 0
        await api.post(f"/api/deliveries/{beside}/retry")
        await until(lambda: receiver.at("/pager"))
        await api.post(f"/api/deliveries/{beside}/retry")
        await until(lambda: len(receiver.at("/pager")) == 2)

    assert {each["event_id"] for each in of_type(receiver.at("/pager"), "delivery.exhausted")} == {
        str(event)
    }
    ids = [each["delivery_id"] for each in of_type(receiver.at("/pager"), "delivery.exhausted")]
    assert ids == [str(beside), str((await app.deliveries(down))[-1]["id"])]


async def test_a_body_that_is_too_large_is_not_exhausted(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await scoped_webhook(app, tenant, f"{receiver.url}/pager", "account")
    async with serving(database, delivery=QUICK | {"max_body_bytes": 2048}):
        await app.event(tenant, {"text": "x" * 4096})
        await until(lambda: settled(app, webhook, "failed", 1))
        assert await waiting(app) == 0


async def test_a_completed_replay_is_reported_with_its_counts_before_the_next_poll(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operational_fanout, "IDLE_SECONDS", 600.0)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    account = await scoped_webhook(app, tenant, f"{receiver.url}/pager", "account")
    async with serving_api(database, tenant) as api:
        await app.events(tenant, 3)
        await until(lambda: settled(app, webhook, "success", 3))
        body = {"webhookId": str(webhook), "from": "2020-01-01T00:00:00Z"}
        replay = (await api.post("/api/replays", body)).json
        await until(lambda: receiver.at("/pager"))
        refused = await api.post("/api/replays", body | {"webhookId": str(account)})

    [data] = of_type(receiver.at("/pager"), "replay.completed")
    assert data == {
        "tenant_id": str(tenant),
        "webhook_id": str(webhook),
        "webhook_name": "a webhook",
        "consecutive_failures": 0,
        "reason": None,
        "replay_id": replay["id"],
        "total": 3,
        "sent": 3,
        "delivered": 3,
        "failed": 0,
        "waiting": 0,
        "count": 1,
    }
    assert refused.status == 409
    assert "operational" in refused.error


async def test_the_counts_of_a_replay_say_what_came_of_it_until_it_was_completed(
    app: Application, database: str, receiver: Receiver
) -> None:
    """Another status waits for its retry; a client error is final, as the webhook's owner wants."""
    receiver.answer = lambda request: Reply(
        {"ok": 200, "no": 404, "later": 503}.get(request.event["data"].get("text"), 200)
    )
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/new", types=["email.*"])
    await app.db.execute("UPDATE webhooks SET client_errors_final = true WHERE id = $1", webhook)
    for text in ("ok", "ok", "no", "later"):
        await app.event(tenant, {"text": text}, created_at=datetime.now(UTC) - timedelta(days=1))
    async with serving_api(database, tenant, delivery={"retry_schedule": ["1h"]}) as api:
        await until(lambda: settled(app, webhook, "success", 2))
        await until(lambda: settled(app, webhook, "failed", 2))
        await until(lambda: settled(app, webhook, "pending_retry", 1))
        await app.db.execute("DELETE FROM webhook_deliveries")
        await scoped_webhook(app, tenant, f"{receiver.url}/pager", "account")
        body = {"webhookId": str(webhook), "from": "2020-01-01T00:00:00Z"}
        await api.post("/api/replays", body)
        await until(lambda: of_type(receiver.at("/pager"), "replay.completed"))

    [data] = of_type(receiver.at("/pager"), "replay.completed")
    counts = {name: data[name] for name in ("total", "sent", "delivered", "failed", "waiting")}
    assert counts == {"total": 4, "sent": 4, "delivered": 2, "failed": 1, "waiting": 1}
    [exhausted] = of_type(receiver.at("/pager"), "delivery.exhausted")
    assert exhausted["reason"] == "the receiver answered 404 Not Found"


async def test_a_chain_ends_at_its_place_in_the_schedule_whatever_its_numbers(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down", types=["none"])
    await scoped_webhook(
        app, tenant, f"{receiver.url}/pager", "account", types=["delivery.exhausted"]
    )
    now = datetime.now(UTC)
    event = uuid4()
    await insert_delivery(
        *(app, down), event_id=event, attempt_number=40, chain_start=40, next_retry_at=now
    )
    async with serving(database, delivery=QUICK | {"retry_schedule": ["100ms", "100ms"]}):
        await until(lambda: receiver.at("/pager"))
        await until(lambda: all_sent(app))

    rows = sorted(await app.deliveries(down), key=lambda row: row["attempt_number"])
    assert [row["attempt_number"] for row in rows] == [40, 41, 42]
    [data] = of_type(receiver.at("/pager"), "delivery.exhausted")
    assert (data["event_id"], data["delivery_id"]) == (str(event), str(rows[-1]["id"]))


async def test_a_limited_webhook_gets_the_events_of_its_scope_and_no_others(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down")
    for scope in ("account", "operator", "odd"):
        limited = await scoped_webhook(app, tenant, f"{receiver.url}/{scope}", scope)
        await app.db.execute(
            "UPDATE webhooks SET max_in_flight = 1, max_per_second = 50 WHERE id = $1", limited
        )
    async with serving(database, delivery=QUICK):
        await fail(app, tenant, down, 4)
        await until(lambda: all_sent(app))

    expected = {"webhook.failing": 1, "delivery.exhausted": 4}
    assert types(receiver.at("/account")) == types(receiver.at("/operator")) == expected
    assert receiver.at("/odd") == []
