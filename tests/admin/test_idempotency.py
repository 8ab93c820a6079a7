"""Idempotency keys: one act for each key, and the same answer again."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from daemon.admin.api import kept_answers, key_quota
from daemon.admin.api.key_quota import KeyQuota
from daemon.core.model.idempotency import IdempotencyClaim
from daemon.core.model.ids import TenantId
from daemon.store import idempotency_keys
from daemon.store.database import Database
from tests.admin.test_access import OPERATIONS
from tests.support.api_client import OPERATOR, ApiClient, serving_api
from tests.support.application import Application
from tests.support.idempotency import LEASE_IS_OVER, SECURE, WEBHOOK, keyed, webhooks
from tests.support.receiver import Receiver, Reply

READER = {"name": "reports", "token": "a-token-for-reports", "scope": "read"}
SECOND = {"name": "second", "token": "another-operator-token"}


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    admin = {"tokens": [OPERATOR, READER, SECOND]}
    async with serving_api(database, tenant, admin=admin, security=SECURE) as caller:
        yield caller


async def test_a_repeated_request_acts_once_and_gets_the_same_answer(
    app: Application, api: ApiClient
) -> None:
    first = await keyed(api, "/api/webhooks", WEBHOOK)
    again = await keyed(api, "/api/webhooks", WEBHOOK)
    quoted = await keyed(api, "/api/webhooks", WEBHOOK, key='"a-key"')

    assert (first.status, again.status, quoted.status) == (201, 201, 201)
    assert first.json["secretKey"].startswith("whsec_")
    assert first.text == again.text == quoted.text
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert {**again.headers, "Date": ""}.items() >= {**first.headers, "Date": ""}.items()
    assert await webhooks(app) == 1
    assert await app.db.fetchval("SELECT count(*) FROM webhook_audit") == 1
    stored = await app.db.fetchval("SELECT fingerprint || answer FROM webhook_idempotency_keys")
    assert first.json["secretKey"] not in stored
    assert stored.count("sealed:1:") == 2


async def test_a_key_is_the_caller_s_own(app: Application, api: ApiClient, tenant: UUID) -> None:
    """One tenant with any of its tokens, another tenant, two operators: five callers, four keys."""
    other = await app.tenant()
    tokens = [
        (await api.post("/api/tenant-tokens", {"tenantId": str(each)})).json["token"]
        for each in (tenant, tenant, other)
    ]
    callers = [api, api.with_headers(Authorization=f"Bearer {SECOND['token']}")]
    callers += [api.with_token(each) for each in tokens]

    answers = [await keyed(each, "/api/webhooks", WEBHOOK) for each in callers]

    assert {each.status for each in answers} == {201}
    assert len({each.json["id"] for each in answers}) == await webhooks(app) == 4
    assert answers[2].text == answers[3].text


async def test_another_request_with_the_same_key_is_refused(
    app: Application, api: ApiClient
) -> None:
    other = await app.tenant()
    ids = [(await api.create_webhook(WEBHOOK["endpointUrl"]))["id"] for _ in range(2)]
    assert (await keyed(api, f"/api/webhooks/{ids[0]}/pause")).status == 200

    others = [
        await keyed(api, f"/api/webhooks/{ids[1]}/pause"),
        await keyed(api, f"/api/webhooks/{ids[0]}/resume"),
        await keyed(api, "/api/webhooks", WEBHOOK),
        await keyed(api.as_tenant(other), f"/api/webhooks/{ids[0]}/pause"),
    ]

    assert [each.status for each in others] == [422] * 4
    assert "another request" in others[0].error
    active = await app.db.fetch("SELECT id::text FROM webhooks WHERE is_active")
    assert [row["id"] for row in active] == [ids[1]]


FAIL = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE 'a fault';
    END $$;
    CREATE TRIGGER fail BEFORE INSERT ON webhooks FOR EACH ROW EXECUTE FUNCTION fail();
"""


async def test_a_refusal_repeats_but_not_one_that_time_or_another_token_may_change(
    app: Application, api: ApiClient, tenant: UUID
) -> None:
    absent = f"/api/webhooks/{uuid4()}/pause"
    refused = [await keyed(api, absent), await keyed(api, absent)]
    reader = api.with_headers(Authorization=f"Bearer {READER['token']}")
    forbidden = await keyed(reader, "/api/webhooks", WEBHOOK, key="b")
    await app.db.execute(FAIL)
    failed = await keyed(api, "/api/webhooks", WEBHOOK, key="c")
    await app.db.execute("DROP TRIGGER fail ON webhooks")
    worked = await keyed(api, "/api/webhooks", WEBHOOK, key="c")

    assert [each.status for each in refused] == [404, 404]
    assert "Idempotency-Replayed" in refused[1].headers
    assert refused[0].text == refused[1].text
    assert forbidden.status == 403
    assert failed.status >= 500
    assert (worked.status, await webhooks(app)) == (201, 1)
    statuses = await app.db.fetch("SELECT status FROM webhook_idempotency_keys ORDER BY 1")
    assert [row["status"] for row in statuses] == [201, 404]


@pytest.mark.parametrize("key", ["", "a" * 256, "schlüssel", "tab\tbed"])
async def test_what_is_no_key_is_refused(key: str, api: ApiClient, app: Application) -> None:
    answer = await keyed(api, "/api/webhooks", WEBHOOK, key=key)

    assert (answer.status, await webhooks(app)) == (400, 0)
    assert "Idempotency-Key" in answer.error


async def test_any_printable_key_is_accepted_and_get_takes_none(api: ApiClient) -> None:
    answers = [
        await keyed(api, "/api/webhooks", WEBHOOK, key=key)
        for key in ("a" * 255, 'order 1/2: "it\'s" \\', '"', "~")
    ]
    read = await api.call("GET", "/api/webhooks", headers={"Idempotency-Key": "not\ta key"})

    assert [each.status for each in answers] == [201] * 4
    assert read.status == 200


async def test_without_master_keys_a_credential_is_not_stored(
    app: Application, database: str, tenant: UUID
) -> None:
    async with serving_api(database, tenant) as api:
        created = [await keyed(api, "/api/webhooks", WEBHOOK) for _ in range(2)]
        path = f"/api/webhooks/{created[0].json['id']}"
        rotated = [await keyed(api, f"{path}/rotate-secret", key="b") for _ in range(2)]
        token = {"tenantId": str(tenant)}
        tokens = [await keyed(api, "/api/tenant-tokens", token, key="c") for _ in range(2)]
        paused = [await keyed(api, f"{path}/pause", key="d") for _ in range(2)]

    for first, again in (created, rotated, tokens):
        assert (first.status < 300, again.status) == (True, 409)
        assert again.json["id"] == first.json["id"]
    assert paused[0].text == paused[1].text
    assert await app.db.fetchval("SELECT count(*) FROM webhook_tenant_tokens") == 1
    stored = await app.db.fetch("SELECT answer FROM webhook_idempotency_keys")
    assert sum(row["answer"] is not None for row in stored) == 1
    assert "secretKey" not in str(stored)


def test_every_answer_with_a_secret_of_its_own_says_so() -> None:
    """So that a new credential cannot be stored in plain text by omission."""
    showing = {each.operation_id for each in OPERATIONS if each.shows_credential}
    secret_members = {"secret_key", "token", "link", "url", "code"}
    by_member = {
        each.operation_id
        for each in OPERATIONS
        for _, model in each.responses.values()
        if each.method == "POST" and model and secret_members & model.model_fields.keys()
    }

    assert showing == by_member >= {"createWebhook", "rotateWebhookSecret", "createTenantToken"}


async def test_what_cannot_be_opened_any_more_repeats_as_a_conflict(
    app: Application, api: ApiClient
) -> None:
    await keyed(api, "/api/webhooks", WEBHOOK)
    await app.db.execute("UPDATE webhook_idempotency_keys SET answer = left(answer, -9)")

    again = await keyed(api, "/api/webhooks", WEBHOOK)

    assert (again.status, await webhooks(app)) == (409, 1)


async def test_a_key_is_free_again_after_a_day(app: Application, api: ApiClient) -> None:
    await keyed(api, "/api/webhooks", WEBHOOK)
    await app.db.execute(
        "UPDATE webhook_idempotency_keys SET created_at = now() - interval '24 hours'"
    )

    again = await keyed(api, "/api/webhooks", {**WEBHOOK, "name": "another"})

    assert (again.status, again.json["name"]) == (201, "another")
    assert "Idempotency-Replayed" not in again.headers


FILL = """
    INSERT INTO webhook_idempotency_keys
           (caller, key_hash, tenant_id, claim_id, claimed_until, fingerprint, status, answer,
            answer_bytes)
    SELECT $1, decode(md5(n::text), 'hex'), $2, gen_random_uuid(), now(), 'x', 200, 'x', $4
      FROM generate_series(1, $3) AS n
"""


@pytest.mark.parametrize(
    ("keys", "answer_bytes"),
    [(idempotency_keys.MOST_KEYS - 1, 1), (1, idempotency_keys.MOST_ANSWER_BYTES - 1)],
)
async def test_a_tenant_cannot_fill_the_disk_with_keys(
    app: Application, api: ApiClient, tenant: UUID, keys: int, answer_bytes: int
) -> None:
    token = (await api.post("/api/tenant-tokens", {"tenantId": str(tenant)})).json["token"]
    own = api.with_token(token)
    await app.db.execute(FILL, f"tenant:{tenant}", tenant, keys, answer_bytes)

    last = await keyed(own, "/api/webhooks", WEBHOOK)
    beyond = await keyed(own, "/api/webhooks", WEBHOOK, key="b")

    assert (last.status, beyond.status, await webhooks(app)) == (201, 429, 1)
    assert (await keyed(own, "/api/webhooks", WEBHOOK)).text == last.text
    assert (await own.post("/api/webhooks", WEBHOOK)).status == 201
    assert (await keyed(api, "/api/webhooks", WEBHOOK, key="b")).status == 201


async def test_keys_are_counted_again_after_a_minute_or_many_claims(
    app: Application, database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other daemons add keys too, and old ones go."""
    monkeypatch.setattr(idempotency_keys, "MOST_KEYS", 3)
    monkeypatch.setattr(key_quota, "FRESH_CLAIMS", 2)
    now = 0.0
    quota = KeyQuota(clock=lambda: now)
    claimed = IdempotencyClaim(f"tenant:{tenant}", b"x", uuid4(), TenantId(tenant))
    pool = Database(database, size=2)
    await pool.open()
    async with pool.connection() as db:
        found = [await quota.has_room(db, claimed)]
        await app.db.execute(FILL, f"tenant:{tenant}", tenant, 3, 1)
        found.append(await quota.has_room(db, claimed))
        now = key_quota.FRESH_SECONDS
        found.append(await quota.has_room(db, claimed))
        await app.db.execute("DELETE FROM webhook_idempotency_keys")
        found.append(await quota.has_room(db, claimed))
        quota.note(claimed, keys=2)
        found.append(await quota.has_room(db, claimed))
    await pool.close(within=timedelta(seconds=2))

    assert found == [True, True, False, False, True]


async def test_the_largest_answer_is_kept_and_a_larger_one_repeats_as_a_conflict(
    app: Application,
    database: str,
    tenant: UUID,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver.answer = lambda _: Reply(200, body=b"\x01" * 16_384)
    await app.event(tenant, {"text": "é" * 400_000})
    await app.db.execute("DELETE FROM webhook_event_inbox")  # for the webhook that is made next
    async with serving_api(database, tenant, security=SECURE) as api:
        path = f"/api/webhooks/{(await api.create_webhook(receiver.url))['id']}/test"
        sent = [await keyed(api, path) for _ in range(2)]
        monkeypatch.setattr(kept_answers, "LONGEST_ANSWER", len(sent[0].text.encode()) - 1)
        larger = [await keyed(api, path, key="b") for _ in range(2)]

    assert (sent[0].status, sent[0].text) == (200, sent[1].text)
    assert [each.status for each in larger] == [200, 409]
    assert len(receiver.received) == 2


async def test_dry_runs_have_keys_too(api: ApiClient) -> None:
    webhook = await api.create_webhook(WEBHOOK["endpointUrl"])
    body = {"webhookId": webhook["id"], "from": "2020-01-01T00:00:00Z", "dryRun": True}

    counted = [await keyed(api, "/api/replays", body) for _ in range(2)]
    begun = await keyed(api, "/api/replays", {**body, "dryRun": False})

    assert [each.status for each in counted] == [200, 200]
    assert "Idempotency-Replayed" in counted[1].headers
    assert begun.status == 422


async def test_an_answer_that_cannot_be_stored_is_given_all_the_same(
    app: Application, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(idempotency_keys, "store_answer", fail)
    first = await keyed(api, "/api/webhooks", WEBHOOK)
    await app.db.execute(LEASE_IS_OVER)
    again = await keyed(api, "/api/webhooks", WEBHOOK)

    assert (first.status, again.status, await webhooks(app)) == (201, 409, 1)
    assert again.json["id"] == first.json["id"]
