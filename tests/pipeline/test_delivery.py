"""From a committed row to a signed, retried, recorded POST: real database, real sockets."""

from datetime import UTC, datetime
from itertools import pairwise
from uuid import uuid4

import asyncpg
import orjson
import pytest

from daemon.core.wire import signing
from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.receiver import Receiver, Reply

SHORT = {"retry_schedule": ["300ms", "300ms", "300ms", "300ms", "300ms"]}


async def settled(app: Application, webhook_id: object, status: str, count: int) -> bool:
    found = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND status = $2",
        webhook_id,
        status,
    )
    return bool(found >= count)


async def test_a_committed_event_is_posted_signed_and_recorded(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook", types=["email.opened"])
    async with serving(database):
        event = await app.event(tenant, {"email_id": "msg_1"})
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.received
    [row] = await app.deliveries(webhook)
    headers = request.headers
    assert request.path == "/hook"
    assert request.event["id"] == f"evt_{event.hex}"
    assert request.event["data"] == {"email_id": "msg_1"}
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "PenguinMails-Webhooks/1.0"
    assert headers["x-penguinmails-event"] == "email.opened"
    assert headers["x-penguinmails-delivery-id"] == str(row["id"])
    assert headers["x-penguinmails-signature"] == signing.sign(request.body, SECRET)
    assert row["signature"] == headers["x-penguinmails-signature"]
    assert (row["status"], row["status_code"], row["attempt_number"]) == ("success", 200, 1)
    assert row["response_body"] == "OK"
    assert orjson.loads(row["response_headers"]) == {"content-length": "2"}
    assert orjson.loads(row["payload"]) == {"email_id": "msg_1"}
    assert row["error_message"] is None
    assert row["duration_ms"] is not None
    assert (await app.health(webhook))["last_success_at"] is not None


async def test_what_is_rolled_back_is_never_sent(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        transaction = app.db.transaction()
        await transaction.start()
        await app.event(tenant, {"n": 1})
        await transaction.rollback()
        await app.event(tenant, {"n": 2})
        await until(lambda: settled(app, webhook, "success", 1))

    assert [request.event["data"] for request in receiver.received] == [{"n": 2}]


async def test_an_event_that_commits_after_later_ones_were_delivered_is_delivered(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    late = await asyncpg.connect(database)
    async with serving(database):
        transaction = late.transaction()
        await transaction.start()
        early = await Application(late).event(
            tenant, {"n": "late"}, created_at=datetime(2020, 1, 1, tzinfo=UTC)
        )
        for n in range(20):
            await app.event(tenant, {"n": n})
        await until(lambda: settled(app, webhook, "success", 20))
        await transaction.commit()
        await until(lambda: settled(app, webhook, "success", 21))
    await late.close()

    assert receiver.received[-1].event["id"] == f"evt_{early.hex}"
    assert len(receiver.received) == 21


async def test_the_whole_schedule_makes_six_attempts_then_gives_up(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500, body=b"no")
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery=SHORT):
        await app.event(tenant, {"n": 1})
        await until(lambda: settled(app, webhook, "failed", 6))

    rows = await app.deliveries(webhook)
    waits = [later.at - earlier.at for earlier, later in pairwise(receiver.received)]
    assert [row["attempt_number"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["status"] for row in rows} == {"failed"}
    assert {row["status_code"] for row in rows} == {500}
    assert {row["error_message"] for row in rows} == {
        "the receiver answered 500 Internal Server Error"
    }
    assert len({row["id"] for row in rows}) == 6
    assert len({request.body for request in receiver.received}) == 1
    assert all(wait >= 0.3 for wait in waits), waits
    assert (await app.health(webhook))["consecutive_failures"] == 6


async def test_an_endpoint_fails_at_five_and_is_paused_at_the_limit_with_one_notice_each_step(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        await app.events(tenant, 130)
        await until(lambda: settled(app, webhook, "failed", 100))
        await until(lambda: _idle(app))

    health = await app.health(webhook)
    assert await app.notices(webhook) == [
        "webhook_failing",
        "webhook_half_way",
        "webhook_nearly_paused",
        "webhook_paused",
    ]
    assert not health["is_active"]
    assert health["is_failing"]
    assert health["consecutive_failures"] >= 100
    assert health["paused_reason"] == "failures"


async def _idle(app: Application) -> bool:
    leased = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries"
        " WHERE leased_until IS NOT NULL AND status = 'pending_retry'"
    )
    return bool(leased == 0)


async def test_a_success_forgets_the_failures(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500 if len(receiver.received) <= 5 else 200)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery=SHORT):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    health = await app.health(webhook)
    assert (health["consecutive_failures"], health["is_failing"]) == (0, False)
    assert await app.notices(webhook) == ["webhook_failing"]


async def test_410_pauses_at_once(app: Application, database: str, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(410)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))

    assert not (await app.health(webhook))["is_active"]
    assert await app.notices(webhook) == ["webhook_gone"]


async def test_a_paused_webhook_gets_nothing_and_goes_on_when_it_is_resumed(
    app: Application, database: str, receiver: Receiver
) -> None:
    healed = False
    receiver.answer = lambda it: Reply(200 if healed or it.path == "/other" else 500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    other = await app.webhook(tenant, receiver.url + "/other")
    async with serving(database, delivery={"retry_schedule": ["100ms"] * 50}):
        await app.event(tenant, {"n": 1})
        await until(lambda: settled(app, webhook, "failed", 1))
        await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)
        healed = True
        before = len(receiver.at("/"))
        await app.event(tenant, {"n": 2})
        await until(lambda: settled(app, other, "success", 2))
        paused = len(receiver.at("/"))
        await app.db.execute("UPDATE webhooks SET is_active = true WHERE id = $1", webhook)
        await until(lambda: settled(app, webhook, "success", 1))

    assert paused <= before + 1  # the retry may have been under way
    assert {request.event["data"]["n"] for request in receiver.at("/")} == {1}
    assert (await app.health(webhook))["consecutive_failures"] == 0


async def test_a_changed_url_and_secret_are_in_force_for_the_next_attempt(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(500 if request.path == "/old" else 200)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/old")
    async with serving(database, delivery={"retry_schedule": ["200ms"] * 5}):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))
        await app.db.execute(
            "UPDATE webhooks SET endpoint_url = $2, secret_key = 'other' WHERE id = $1",
            webhook,
            receiver.url + "/new",
        )
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.at("/new")
    assert request.headers["x-penguinmails-signature"] == signing.sign(request.body, "other")
    assert "webhook-signature" not in request.headers


async def test_both_secrets_sign_while_a_rotation_overlaps(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url, secret="new")
    await app.db.execute(
        "UPDATE webhooks SET previous_secret_key = 'old',"
        " previous_secret_expires_at = now() + '1 hour' WHERE id = $1",
        webhook,
    )
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.received
    headers = request.headers
    assert headers["x-penguinmails-signature"] == signing.sign(request.body, "new")
    assert headers["x-penguinmails-signature-previous"] == signing.sign(request.body, "old")


async def test_deleting_a_webhook_removes_its_deliveries_even_under_way(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.3)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    other = await app.webhook(tenant, receiver.url + "/other")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: len(receiver.received) == 2)
        await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
        await until(lambda: settled(app, other, "success", 1))

    assert await app.deliveries(webhook) == []


async def test_a_delivery_that_the_application_inserts_uses_its_payload(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500 if len(receiver.received) == 1 else 200)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    event_id = uuid4()
    async with serving(database, delivery=SHORT):
        await app.db.execute(
            "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload, status,"
            " next_retry_at) VALUES ($1, $2, $3, 'email.sent', $4, 'pending_retry', now())",
            uuid4(),
            webhook,
            event_id,
            '{"mine": 1.0}',
        )
        await until(lambda: settled(app, webhook, "success", 1))

    first, second = receiver.received
    assert first.body == second.body
    assert first.event["id"] == f"evt_{event_id.hex}"
    assert first.body.endswith(b'"data":{"mine":1}}')
    assert len(await app.deliveries(webhook)) == 2


@pytest.mark.parametrize("text", ["null", "17", '"text"', "[1,2]", "true"])
async def test_event_data_of_any_shape_is_delivered(
    app: Application, database: str, receiver: Receiver, text: str
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        await app.event(tenant, text=text)
        await until(lambda: settled(app, webhook, "success", 1))

    assert receiver.received[0].event["data"] == orjson.loads(text)


async def test_sql_null_and_unknown_types_and_a_megabyte_are_delivered(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        await app.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)"
            " VALUES (gen_random_uuid(), $1, NULL, NULL, NULL),"
            " (gen_random_uuid(), $1, 'a.newer.type', '{}', 'infinity'),"
            " (gen_random_uuid(), $1, 'email.ünïcode' || chr(10), $2, now())",
            tenant,
            orjson.dumps({"big": "x" * 1_000_000}).decode(),
        )
        await until(lambda: settled(app, webhook, "success", 3))

    by_type = {request.event["type"]: request for request in receiver.received}
    assert by_type[""].event["data"] is None
    assert by_type["a.newer.type"].event["data"] == {}
    assert len(by_type["email.ünïcode\n"].event["data"]["big"]) == 1_000_000


async def test_one_unusable_webhook_fails_with_its_reason_and_others_go_on(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    bad = {
        "no-url": await app.webhook(tenant, "not a url"),
        "metadata": await app.webhook(tenant, "http://169.254.169.254/latest"),
        "no-secret": await app.webhook(tenant, receiver.url, secret=""),
    }
    misfiltered = await app.webhook(tenant, receiver.url + "/f", filters={"no_such": 1})
    good = await app.webhook(tenant, receiver.url + "/good")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, good, "success", 1))
        for webhook in bad.values():
            await until(lambda webhook=webhook: settled(app, webhook, "failed", 1))

    errors = {name: (await app.deliveries(it))[0]["error_message"] for name, it in bad.items()}
    assert errors == {
        "no-url": "the URL must not contain white space, backslashes or control characters",
        "metadata": "the host's address is not public; use a host on the public internet",
        "no-secret": "the webhook has no secret to sign with",
    }
    assert [request.path for request in receiver.received] == ["/good"]
    assert await app.deliveries(misfiltered) == []
    assert "no_such" in (await app.health(misfiltered))["filter_error"]


async def test_a_retry_after_lengthens_the_wait_up_to_the_longest_step(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(
        429 if len(receiver.received) == 1 else 200, headers={"Retry-After": "3600"}
    )
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery={"retry_schedule": ["100ms", "900ms"]}):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    first, second = receiver.received
    assert second.at - first.at >= 0.9


async def test_a_backlog_of_one_slow_endpoint_delays_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(after=4.9 if request.path == "/slow" else 0)
    tenant = await app.tenant()
    slow = await app.webhook(tenant, receiver.url + "/slow", types=["slow"])
    await app.webhook(tenant, receiver.url + "/quick", types=["email.opened"])
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, status)"
        " SELECT $1, gen_random_uuid(), 'slow', '{}', 'pending_retry'"
        " FROM generate_series(1, 2000)",
        slow,
    )
    async with serving(database, delivery={"drain": "0s"}):
        await until(lambda: len(receiver.at("/slow")) >= 2)
        await app.event(tenant)
        await until(lambda: len(receiver.at("/quick")) == 1, within=5)

    assert len(receiver.at("/slow")) < 40  # its window, not its backlog


async def test_whoever_holds_one_webhook_holds_up_nobody_else(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    held = await app.webhook(tenant, receiver.url + "/held")
    free = await app.webhook(tenant, receiver.url + "/free")
    person = await asyncpg.connect(database)
    async with serving(database):
        transaction = person.transaction()
        await transaction.start()
        await person.execute("SELECT 1 FROM webhooks WHERE id = $1 FOR UPDATE", held)
        for n in range(3):
            await app.event(tenant, {"n": n})
        await until(lambda: settled(app, free, "success", 3), within=5)
        untouched = await app.deliveries(held)
        await transaction.rollback()
        await until(lambda: settled(app, held, "success", 3), within=5)
    await person.close()

    assert untouched == []
    assert len(receiver.received) == 6


async def test_results_wait_for_a_webhook_that_somebody_holds_and_are_not_sent_again(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.3)
    tenant = await app.tenant()
    held = await app.webhook(tenant, receiver.url + "/held", types=["held"])
    free = await app.webhook(tenant, receiver.url + "/free", types=["free"])
    person = await asyncpg.connect(database)
    async with serving(database):
        await app.event(tenant, type="held")
        await until(lambda: len(receiver.at("/held")) == 1)
        transaction = person.transaction()
        await transaction.start()
        await person.execute("UPDATE webhooks SET name = 'x' WHERE id = $1", held)
        await app.event(tenant, type="free")
        await until(lambda: settled(app, free, "success", 1), within=5)
        [row] = await app.deliveries(held)
        await transaction.commit()
        await until(lambda: settled(app, held, "success", 1), within=5)
    await person.close()

    assert row["status"] == "pending_retry"
    assert len(receiver.at("/held")) == 1


async def test_a_webhook_that_somebody_holds_does_not_take_all_places(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    held = await app.webhook(tenant, receiver.url + "/held", types=["held"])
    free = await app.webhook(tenant, receiver.url + "/free", types=["free"])
    for _ in range(200):
        await app.event(tenant, type="held")
    person = await asyncpg.connect(database)
    transaction = person.transaction()
    async with serving(database, delivery={"concurrency": 16}):
        await until(lambda: settled(app, held, "success", 1))
        await transaction.start()
        await person.execute("UPDATE webhooks SET name = 'x' WHERE id = $1", held)
        for _ in range(100):
            await app.event(tenant, type="free")
        await until(lambda: settled(app, free, "success", 100), within=10)
        await transaction.commit()
        await until(lambda: settled(app, held, "success", 200))
    await person.close()

    assert len(receiver.at("/held")) == 200


async def test_results_wait_for_rows_that_somebody_holds_and_hold_up_nobody(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(after=0.3 if request.path == "/held" else 0.0)
    tenant = await app.tenant()
    held = await app.webhook(tenant, receiver.url + "/held", types=["held"])
    free = await app.webhook(tenant, receiver.url + "/free", types=["free"])
    person = await asyncpg.connect(database)
    async with serving(database):
        await app.event(tenant, type="held")
        await until(lambda: len(receiver.at("/held")) == 1)
        transaction = person.transaction()
        await transaction.start()
        await person.execute("UPDATE webhook_deliveries SET error_message = 'seen by support'")
        await until(lambda: receiver.open_now == 0)
        for n in range(5):
            await app.event(tenant, type="free")
            await until(lambda n=n: settled(app, free, "success", n + 1), within=5)
        [row] = await app.deliveries(held)
        await transaction.commit()
        await until(lambda: settled(app, held, "success", 1), within=5)
    await person.close()

    assert row["status"] == "pending_retry"
    assert len(receiver.at("/held")) == 1


async def test_the_application_s_role_needs_no_right_on_the_daemon_s_own_tables(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    role = f"application_{tenant.hex}"
    await app.db.execute(f"CREATE ROLE {role}; GRANT INSERT ON webhook_events, webhooks TO {role}")
    await app.db.execute(f"SET ROLE {role}")
    webhook = await app.webhook(tenant, receiver.url)
    await app.event(tenant)
    await app.db.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
    async with serving(database):
        await until(lambda: settled(app, webhook, "success", 1))

    assert len(receiver.received) == 1


async def test_the_request_is_kept_as_it_was_sent_without_what_is_secret(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook?token=c4n4ry")
    await app.db.execute(
        """UPDATE webhooks SET custom_headers = '{"X-Key": "c4n4ry"}' WHERE id = $1""", webhook
    )
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    [row] = await app.deliveries(webhook)
    [request] = receiver.received
    trace = orjson.loads(row["trace"])
    line, *headers = trace["head"].rstrip().split("\r\n")
    shown = {name.lower(): value for name, _, value in (each.partition(": ") for each in headers)}
    assert line == "POST /hook?… HTTP/1.1"
    assert request.headers | {"x-key": "[hidden]"} == shown
    assert set(trace["stagesMs"]) == {"lookup", "connect", "answer"}


async def test_an_inserted_row_without_a_payload_has_its_event_s_data_at_every_attempt(
    app: Application, database: str, receiver: Receiver
) -> None:
    replies = iter([Reply(500), Reply(500), Reply()])
    receiver.answer = lambda _: next(replies)
    tenant = await app.tenant()
    event = await app.event(tenant, {"n": 1})
    webhook = await app.webhook(tenant, receiver.url, types=["never"])
    await app.db.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, status,"
        " next_retry_at) VALUES ($1, $2, $3, 'email.opened', 'pending_retry', now())",
        *(uuid4(), webhook, event),
    )
    async with serving(database, delivery=SHORT):
        await until(lambda: settled(app, webhook, "success", 1))

    assert len({request.body for request in receiver.received}) == 1
    assert receiver.received[0].event["data"] == {"n": 1}


async def test_what_was_inserted_without_a_payload_outlives_its_event(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    event = await app.event(tenant, {"n": 1})
    webhook = await app.webhook(tenant, receiver.url, types=["never"])
    await app.db.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, status,"
        " next_retry_at) VALUES ($1, $2, $3, 'email.opened', 'pending_retry', now())",
        *(uuid4(), webhook, event),
    )
    async with serving(database, delivery={"retry_schedule": ["1s"]}):
        await until(lambda: settled(app, webhook, "failed", 1))
        await app.db.execute("DELETE FROM webhook_events")
        await until(lambda: settled(app, webhook, "failed", 2))

    assert len({request.body for request in receiver.received}) == 1
    assert [row["payload"] for row in await app.deliveries(webhook)] == ['{"n": 1}'] * 2


async def test_a_row_that_names_another_tenant_s_event_does_not_send_its_data(
    app: Application, database: str, receiver: Receiver
) -> None:
    event = await app.event(await app.tenant(), {"whose": "another's"})
    webhook = await app.webhook(await app.tenant(), receiver.url)
    await app.db.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, status,"
        " next_retry_at) VALUES ($1, $2, $3, 'email.opened', 'pending_retry', now())",
        *(uuid4(), webhook, event),
    )
    async with serving(database):
        await until(lambda: settled(app, webhook, "success", 1))

    assert receiver.received[0].event["data"] is None
    assert [row["payload"] for row in await app.deliveries(webhook)] == [None]
