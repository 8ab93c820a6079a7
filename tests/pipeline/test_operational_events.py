"""Operational events: each transition is reported once, to the webhooks of the right scopes."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.scheduling import operational_pace
from daemon.core.wire.verification import verify
from tests.support.api_client import serving_api
from tests.support.application import SECRET, Application
from tests.support.daemons import daemon, free_port, serving, until
from tests.support.deliveries import insert_delivery, nothing_pending, settled
from tests.support.operational import (
    QUICK,
    failing_at,
    nothing_waiting,
    of_type,
    scoped_webhook,
    types,
    waiting,
)
from tests.support.receiver import Receiver, Reply


async def fail(app: Application, tenant: UUID, webhook: UUID, times: int) -> None:
    """Let attempts to the webhook fail one after the other, until so many have failed."""
    for count in range(1, times + 1):
        await app.event(tenant, {"n": count})
        await until(lambda count=count: settled(app, webhook, "failed", count))


async def all_sent(app: Application) -> bool:
    return await nothing_waiting(app) and await nothing_pending(app)


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


@pytest.mark.full
async def test_a_completed_replay_is_reported_with_its_counts(
    app: Application, database: str, receiver: Receiver
) -> None:
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


async def test_a_locked_subscriber_gets_its_event_later_and_delays_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"])
    locked = await scoped_webhook(app, tenant, f"{receiver.url}/locked", "account")
    await scoped_webhook(app, tenant, f"{receiver.url}/free", "account")
    other = await asyncpg.connect(database)
    async with serving(database, delivery=QUICK):
        async with other.transaction():
            await other.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", locked)
            await app.event(tenant)
            await until(lambda: receiver.at("/free"))
            assert await settled(app, down, "failed", 1)
            assert await waiting(app) == 1
        await until(lambda: receiver.at("/locked"))
        await until(lambda: all_sent(app))
    await other.close()

    assert len(receiver.at("/free")) == len(receiver.at("/locked")) == 1


async def test_every_one_of_many_subscribers_gets_an_event_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"])
    subscribers = {
        await scoped_webhook(
            app, tenant, f"{receiver.url}/many", "operator" if number % 2 else "account"
        )
        for number in range(120)
    }
    async with serving(database, delivery=QUICK), serving(database, delivery=QUICK):
        await fail(app, tenant, down, 2)
        await until(lambda: nothing_waiting(app))
        await until(lambda: nothing_pending(app))

    rows = await app.db.fetch(
        "SELECT webhook_id, event_id FROM webhook_deliveries WHERE webhook_id <> $1", down
    )
    pairs = Counter((row["webhook_id"], row["event_id"]) for row in rows)
    assert {webhook for webhook, _ in pairs} == subscribers
    assert set(pairs.values()) == {1}
    assert len(pairs) == 3 * 120


async def test_a_flood_of_one_tenant_is_merged_and_another_tenants_event_comes_through(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operational_pace, "MOST_PER_MINUTE", 20)
    monkeypatch.setattr(operational_pace, "WINDOW_SECONDS", 2.0)
    failing_at(receiver, "/down", "/quiet")
    tenant, quiet, operators = [await app.tenant() for _ in range(3)]
    webhooks = [await app.webhook(tenant, f"{receiver.url}/down") for _ in range(4)]
    other = await app.webhook(quiet, f"{receiver.url}/quiet")
    await scoped_webhook(
        *(app, operators, f"{receiver.url}/operator", "operator"), types=["delivery.exhausted"]
    )
    await scoped_webhook(
        *(app, operators, f"{receiver.url}/health", "operator"), types=["webhook.*"]
    )
    settings = QUICK | {"pause_after": 100_000, "failing_after": 50}
    async with serving(database, delivery=settings):
        await app.events(tenant, 100)
        await app.event(quiet)
        for webhook, count in (*((each, 100) for each in webhooks), (other, 1)):
            await until(lambda w=webhook, c=count: settled(app, w, "failed", c))
        await until(lambda: all_sent(app))

    events = of_type(receiver.at("/operator"), "delivery.exhausted")
    counts = Counter[str]()
    for each in events:
        counts[each["webhook_id"]] += each["count"]
    assert counts == {str(other): 1} | {str(each): 100 for each in webhooks}
    assert len(events) < 200
    assert max(each["count"] for each in events) > 1
    # Each type has its own share.
    health = of_type(receiver.at("/health"), "webhook.failing")
    assert sorted((each["webhook_id"], each["count"]) for each in health) == sorted(
        (str(each), 1) for each in webhooks
    )


async def test_what_cannot_be_written_together_with_its_event_is_not_written(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"])
    await scoped_webhook(app, tenant, f"{receiver.url}/pager", "account")
    await app.db.execute(
        "ALTER TABLE webhook_operational_events ADD CONSTRAINT none CHECK (false) NOT VALID"
    )
    # Tracebacks would be printed with all local variables, which takes seconds.
    with capture_logs() as logs:
        async with serving(database, delivery=QUICK):
            await app.event(tenant)
            await until(lambda: any(each["event"] == "result.put_aside" for each in logs))
            held = await app.db.fetchval("SELECT count(*) FROM webhook_event_inbox")
            rows, health = await app.deliveries(down), await app.health(down)
            await app.db.execute("ALTER TABLE webhook_operational_events DROP CONSTRAINT none")
            await until(lambda: receiver.at("/pager"))
            await until(lambda: all_sent(app))

    assert (held, rows, health["consecutive_failures"]) == (1, [], 0)
    assert types(receiver.at("/pager")) == {"delivery.exhausted": 1}
    assert len(await app.deliveries(down)) == 1


@pytest.mark.full
async def test_no_event_is_lost_or_doubled_by_daemons_that_are_killed(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    webhooks = [
        await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"]) for _ in range(3)
    ]
    await scoped_webhook(app, tenant, f"{receiver.url}/pager", "account")
    settings = '[delivery]\nretry_schedule = []\npause_after = 100000\nfailing_backoff = "0s"\n'
    port = free_port()
    for failed in (5, 15):
        async with daemon(database, tmp_path, settings=settings, port=port) as running:
            await app.events(tenant, 10)
            await until(lambda failed=failed: settled(app, webhooks[0], "failed", failed))
            await running.kill()
        await app.db.execute("UPDATE webhook_event_inbox SET leased_until = now()")
        await app.db.execute(
            "UPDATE webhook_deliveries SET leased_until = now() WHERE status = 'pending_retry'"
        )
    async with daemon(database, tmp_path, settings=settings, port=port):
        for each in webhooks:
            await until(lambda each=each: settled(app, each, "failed", 20))
        await until(lambda: all_sent(app))

    rows = await app.db.fetch(
        "SELECT DISTINCT event_id, event_type, payload FROM webhook_deliveries"
        " WHERE event_type LIKE '%.%' AND payload::jsonb ? 'webhook_id'"
    )
    counts = Counter[str]()
    for row in rows:
        counts[row["event_type"]] += int(
            await app.db.fetchval("SELECT ($1::jsonb ->> 'count')::int", row["payload"])
        )
    assert counts == {"webhook.failing": 3, "delivery.exhausted": 60}
