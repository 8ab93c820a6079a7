"""From a committed event to a signed, recorded POST: real database, real sockets."""

from datetime import UTC, datetime

import asyncpg
import orjson
import pytest

from daemon.core.scheduling import response_quota
from daemon.core.wire import signing
from daemon.core.wire.short_head import Known, expand
from tests.support.application import SECRET, Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply


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


async def test_long_responses_are_stored_whole_only_within_a_tenants_quota(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_quota, "BYTES_PER_HOUR", 15_000)
    receiver.answer = lambda _: Reply(200, body=b"x" * 10_000)
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    of_other = await app.webhook(other, receiver.url)
    async with serving(database):
        for each in (tenant, tenant, other):
            await app.event(each, {})
        await until(lambda: settled(app, webhook, "success", 2))
        await until(lambda: settled(app, of_other, "success", 1))

    bodies = [len(row["response_body"]) for row in await app.deliveries(webhook)]
    assert sorted(bodies) == [1024, 10_000]
    assert [len(row["response_body"]) for row in await app.deliveries(of_other)] == [10_000]


async def test_an_event_that_is_rolled_back_is_never_sent(
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


async def test_a_null_an_unknown_type_and_a_megabyte_of_data_are_delivered(
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


async def test_the_request_is_stored_as_sent_except_its_secrets(
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
    event_id, signature = row["event_id"], request.headers["x-penguinmails-signature"]
    known = Known(row["id"], event_id, row["event_type"], signature)
    line, *headers = expand(trace["shortHead"], known).rstrip().split("\r\n")
    shown = {name.lower(): value for name, _, value in (each.partition(": ") for each in headers)}
    assert line == "POST /hook?… HTTP/1.1"
    assert request.headers | {"x-key": "[hidden]"} == shown
    assert set(trace["stagesMs"]) == {"lookup", "connect", "answer"}


async def test_the_applications_role_needs_no_rights_on_the_daemons_own_tables(
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
