"""Rows as the application should not write them: they stop no loop and break no tenant's view."""

from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import pytest
from pydantic import ValidationError

from daemon.admin.schemas import RetryStarted
from tests.support.api_client import OPERATOR, ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, serving, until
from tests.support.receiver import Receiver, Reply

MOST = 2**31 - 1


def refusing(path: str, receiver: Receiver) -> None:
    receiver.answer = lambda request: Reply(500 if request.path == path else 200)


async def row(app: Application, webhook: UUID, **columns: object) -> UUID:
    """A delivery with these columns."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", ${n}" for n in range(4, 4 + len(columns)))
    delivery_id = uuid4()
    await app.db.execute(
        f"INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type{names})"
        f" VALUES ($1, $2, $3, 'email.opened'{values})",
        *(delivery_id, webhook, uuid4(), *columns.values()),
    )
    return delivery_id


async def test_a_count_of_failures_at_its_end_holds_no_result_up(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook, well = [
        await app.webhook(each, receiver.url + path)
        for each, path in ((tenant, "/full"), (other, "/well"))
    ]
    await app.db.execute(
        "UPDATE webhooks SET consecutive_failures = $1 WHERE id = $2", MOST, webhook
    )
    refusing("/full", receiver)
    async with serving(database, delivery={"pause_after": 1_000_000}):
        await app.event(tenant)
        await app.event(other)
        await until(lambda: settled(app, webhook, "failed"), within=10)
        await until(lambda: settled(app, well, "success"), within=10)
    health = await app.health(webhook)
    assert (health["consecutive_failures"], health["is_active"]) == (MOST, False)


async def settled(app: Application, webhook: UUID, status: str) -> bool:
    return status in {each["status"] for each in await app.deliveries(webhook)}


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


ODD_HEADERS = {
    "a number beyond doubles": '{"Authorization": 1e400}',
    "a deep nest": f'{{"Authorization": {nested(1100)}}}',
    "the deepest nest": f'{{"Authorization": {nested(16_000)}}}',
    "a nest that is read and not written": f'{{"Authorization": {nested(500)}}}',
    "an array": '["Authorization"]',
    "a text": '"Authorization"',
    "a number": "5",
}


@pytest.mark.parametrize("headers", ODD_HEADERS.values(), ids=ODD_HEADERS)
async def test_headers_of_an_odd_shape_fail_their_own_webhook_s_attempts_and_stop_nobody(
    headers: str, app: Application, database: str, receiver: Receiver
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/odd")
    await app.db.execute("UPDATE webhooks SET custom_headers = $2 WHERE id = $1", webhook, headers)
    plain = await app.webhook(other, f"{receiver.url}/well")
    async with serving_api(database, tenant, security={"master_keys": ["k" * 32]}) as api:
        await until(lambda: is_sealed(app, plain), within=10)
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed"), within=10)
        [error] = {each["error_message"] for each in await app.deliveries(webhook)} - {None}
        there = f"/api/webhooks/{webhook}"
        answers = [
            *(await api.get("/api/webhooks"), await api.get(there)),
            await api.patch(there, {"name": "another"}),
            await api.patch(there, {"customHeaders": {"X-Good": "yes"}}),
            *(await api.post(f"{there}/test", {"sample": True}), await api.delete(there)),
        ]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 200, 204]
    assert "the webhook's own headers cannot be sent: " in error
    assert len(receiver.at("/odd")) == 1  # the test, once they were mended


async def is_sealed(app: Application, webhook: UUID) -> bool:
    return bool((await app.health(webhook))["sealed_with"])


async def test_a_secret_too_long_to_be_sealed_keeps_no_other_from_it(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    long = await app.webhook(tenant, "http://127.0.0.1:9/")
    await app.db.execute(
        "UPDATE webhooks SET previous_secret_key = $2 WHERE id = $1", long, "s" * 2048
    )
    well = await app.webhook(tenant, "http://127.0.0.1:9/")
    async with serving(database, security={"master_keys": ["k" * 32]}):
        await until(lambda: is_sealed(app, well), within=10)
    assert (await app.health(long))["sealed_with"] == "unreadable"


async def test_what_a_row_holds_is_in_no_log_whatever_is_wrong_with_it(
    app: Application, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOKD_ADMIN__TOKENS", OPERATOR)
    tenant, port, log = await app.tenant(), free_port(), tmp_path / "log"
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/", secret="whsec_c4n4ry")
    await app.db.execute("ALTER TABLE webhooks ADD CONSTRAINT app_name CHECK (name <> 'never')")
    headers = {"Authorization": f"Bearer {OPERATOR}", "X-Tenant-ID": str(tenant)}
    async with (
        daemon(database, tmp_path, port=port, log=log, level="debug"),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        answer = await ApiClient(session, headers).patch(
            f"/api/webhooks/{webhook}", {"name": "never"}
        )
    told = log.read_text()
    assert answer.status == 500
    assert "app_name" in told
    assert "Failing row" not in told
    assert "c4n4ry" not in told


def test_an_answer_of_a_wrong_shape_is_told_without_what_it_held() -> None:
    with pytest.raises(ValidationError) as error:
        RetryStarted.model_validate({"id": "c4n4ry"})
    assert "c4n4ry" not in str(error.value)
