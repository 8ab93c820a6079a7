"""Rows as the application should not write them: they stop no loop and break nobody's view."""

from uuid import UUID, uuid4

import pytest

from tests.api import serving_api
from tests.application import Application
from tests.house import serving, until
from tests.receiver import Receiver, Reply

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


@pytest.mark.parametrize("number", [-10, 0, MOST])
async def test_an_attempt_of_any_number_is_settled_and_can_be_made_again(
    number: int, app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/odd")
    refusing("/odd", receiver)
    delivery = await row(app, webhook, payload="{}", attempt_number=number)
    async with serving_api(database, tenant) as api:
        await until(lambda: settled(app, webhook, "failed"), within=10)
        again = await api.post(f"/api/deliveries/{delivery}/retry")
    assert again.status == 202, again
