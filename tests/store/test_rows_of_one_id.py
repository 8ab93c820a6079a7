"""Other tenants' rows may have the id of a delivery: no statement takes one for the other."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson
import pytest

from daemon.core.model.erasure import ErasureTarget
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.maintenance.erasure import Erasure
from daemon.store import erasure_events, expired_deliveries, retries, webhooks
from daemon.store.database import Database
from daemon.store.payload_size import FETCHED_AT_ONCE
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver

LARGE = {"text": "x" * 2 * FETCHED_AT_ONCE}
FORGED = '{"forged": true, "contact_id": "c1"}'
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


class Victim:
    """A delivery, and a row of another tenant with its id in another partition."""

    def __init__(self, app: Application, webhook: UUID, attacker: UUID, tenant: UUID) -> None:
        self.app = app
        self.id = uuid4()
        self.event = uuid4()
        self.forged_event = uuid4()
        self.webhook = webhook
        self.attacker = attacker
        self.attackers_tenant = tenant

    async def rows(self) -> list[tuple[UUID, str]]:
        """The webhooks and states of the rows that have its id, its own one first."""
        found = await self.app.db.fetch(
            "SELECT webhook_id, status FROM webhook_deliveries WHERE id = $1"
            " ORDER BY webhook_id = $2 DESC",
            *(self.id, self.webhook),
        )
        return [(row["webhook_id"], row["status"]) for row in found]

    async def forge(self, at: datetime = LONG_AGO) -> None:
        await insert_delivery(
            *(self.app, self.attacker),
            id=self.id,
            event_id=self.forged_event,
            payload=FORGED,
            status="failed",
            next_retry_at=None,
            attempted_at=at,
        )

    async def deliver(self, **columns: object) -> None:
        columns = {"status": "success", "attempted_at": datetime.now(UTC)} | columns
        await insert_delivery(self.app, self.webhook, id=self.id, event_id=self.event, **columns)


@pytest.fixture
async def victim(app: Application, receiver: Receiver) -> Victim:
    webhook = await app.webhook(await app.tenant(), receiver.url + "/victim")
    tenant = await app.tenant()
    return Victim(app, webhook, await app.webhook(tenant, receiver.url + "/attacker"), tenant)


async def test_large_data_are_those_of_the_webhooks_own_row(
    victim: Victim, database: str, receiver: Receiver
) -> None:
    await victim.forge()
    await victim.deliver(
        status="pending_retry", attempted_at=None, next_retry_at=None, payload=_text(LARGE)
    )
    async with serving(database):
        await until(lambda: settled(victim.app, victim.webhook, "success", 1))

    [request] = receiver.at("/victim")
    assert orjson.loads(request.body)["data"] == LARGE
    assert (victim.attacker, "failed") in await victim.rows()


async def test_retention_deletes_the_row_that_has_expired(victim: Victim) -> None:
    await victim.deliver()
    await victim.forge()
    db = victim.app.db

    deleted = await expired_deliveries.delete(db, [victim.id], older_than=timedelta(days=1))

    assert deleted == 1
    assert await victim.rows() == [(victim.webhook, "success")]


async def test_an_erased_contact_takes_no_row_of_another_tenant_along(
    victim: Victim, database: str
) -> None:
    await victim.deliver()
    await victim.forge()
    pool = Database(database, size=2)
    await pool.open()
    erased = await Erasure(pool, ErasureTarget(TenantId(victim.attackers_tenant), "c1")).erase()
    await pool.close(within=timedelta(seconds=1))

    assert erased.deliveries == 1
    assert await victim.rows() == [(victim.webhook, "success")]


@pytest.mark.parametrize("by", ["event", "webhook"])
async def test_what_is_erased_with_an_event_or_a_webhook_is_its_own(
    victim: Victim, by: str
) -> None:
    await victim.deliver()
    await victim.forge()
    db = victim.app.db
    if by == "event":
        await erasure_events.erase(
            *(db, TenantId(victim.attackers_tenant), [EventId(victim.forged_event)]), limit=10
        )
    else:
        await webhooks.delete_some_deliveries(db, WebhookId(victim.attacker), limit=10)

    assert await victim.rows() == [(victim.webhook, "success")]


async def test_a_retry_repeats_the_row_of_its_own_tenant(victim: Victim) -> None:
    await victim.deliver(status="failed")
    await victim.forge()
    db, app = victim.app.db, victim.app
    tenant = TenantId((await app.health(victim.webhook))["tenant_id"])
    async with db.transaction():
        due = await retries.retry_now(db, tenant, DeliveryId(victim.id))

    assert isinstance(due, retries.RetryDue)
    row = await db.fetchrow(
        "SELECT webhook_id, event_id, payload FROM webhook_deliveries WHERE id = $1",
        due.delivery_id,
    )
    assert (row["webhook_id"], row["event_id"]) == (victim.webhook, victim.event)
    assert row["payload"] != FORGED


def _text(data: object) -> str:
    return orjson.dumps(data).decode()
