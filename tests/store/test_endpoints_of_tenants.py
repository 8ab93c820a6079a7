"""Endpoints that are read together with leased events: the same ones that are read alone."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.inbox_scan import EMPTY_SNAPSHOT, InboxScan
from daemon.core.scheduling.inbox_turns import InboxTurn
from daemon.store import endpoints, event_inbox, leased_events
from daemon.store.endpoints import MOST_OF_TENANT
from daemon.store.leased_events import Leased, Leasing
from tests.support.application import Application
from tests.support.holds import hold

LEASING = Leasing(lease=timedelta(seconds=15), daemon_key=7, most_bytes=8_000_000)
URL = "https://receiver.example/"
# Each makes that every attempt is claimed.
NOT_READY = {
    "failing": "is_failing = true",
    "with a limit": "max_in_flight = 3",
    "with a long timeout": "timeout_ms = 29000",
    "with a large certificate": "client_certificate = repeat('x', 60000)",
}
# As an application may have made its columns, before any trigger was.
OTHER_TYPES = """
    DROP TRIGGER webhooks_secret_written ON webhooks;
    CREATE DOMAIN members AS jsonb;
    CREATE DOMAIN letters AS text;
    ALTER TABLE webhooks ALTER COLUMN custom_headers TYPE members;
    ALTER TABLE webhooks ALTER COLUMN client_key TYPE letters
"""


async def lease(app: Application, *, leasing: Leasing = LEASING, limit: int = 100) -> Leased:
    """Lease what a daemon that knows nothing yet finds first."""
    found = await event_inbox.scan(
        *(app.db, InboxScan(keys_per_range=100).ranges(now=0.0), leasing),
        seen=EMPTY_SNAPSHOT,
        waiting=[],
        keys=100,
        limit=limit,
        per_key=limit,
    )
    return found.leased


async def webhooks_of(app: Application, tenant: UUID, count: int) -> list[WebhookId]:
    return [WebhookId(await app.webhook(tenant, URL)) for _ in range(count)]


async def test_events_come_with_the_endpoints_of_their_tenants_alone(app: Application) -> None:
    tenant, other, third = [await app.tenant() for _ in range(3)]
    own, others = await webhooks_of(app, tenant, 2), await webhooks_of(app, other, 1)
    await webhooks_of(app, third, 1)
    for each in (tenant, other, tenant):
        await app.event(each)

    leased = await lease(app)
    alone = await endpoints.find_ready(app.db, own + others, within=LEASING.lease)

    assert len(leased.events) == 3
    assert leased.endpoints == alone
    assert set(alone) == {*own, *others}


async def test_turns_bring_endpoints_too(app: Application) -> None:
    tenant = await app.tenant()
    [webhook] = await webhooks_of(app, tenant, 1)
    await app.events(tenant, 3)
    first = await lease(app, limit=1)
    [key] = {each.key for each in first.events}

    turn = InboxTurn(key, first.events[0].event.id, 10)
    leased = await leased_events.lease_turns(app.db, [turn], LEASING)

    assert len(leased.events) == 2
    assert set(leased.endpoints) == {webhook}


@pytest.mark.parametrize("change", NOT_READY.values(), ids=NOT_READY)
async def test_an_endpoint_whose_attempts_are_claimed_is_not_read(
    app: Application, change: str
) -> None:
    tenant = await app.tenant()
    ready, not_ready = await webhooks_of(app, tenant, 2)
    await app.db.execute(f"UPDATE webhooks SET {change} WHERE id = $1", not_ready)
    await app.event(tenant)

    leased = await lease(app)

    assert leased.endpoints[not_ready] is None
    assert leased.endpoints[ready] is not None


async def test_no_endpoint_is_ready_while_its_tenant_is_held(app: Application) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    [held], [free] = await webhooks_of(app, tenant, 1), await webhooks_of(app, other, 1)
    await hold(app, tenant)
    for each in (tenant, other):
        await app.event(each)

    leased = await lease(app)

    assert leased.endpoints[held] is None
    assert leased.endpoints[free] is not None


async def test_no_endpoint_is_ready_in_a_database_of_another_installation(
    app: Application,
) -> None:
    tenant = await app.tenant()
    [webhook] = await webhooks_of(app, tenant, 1)
    await app.event(tenant)

    leased = await lease(app, leasing=replace(LEASING, installation="another"))

    assert leased.endpoints == {webhook: None}


async def test_few_webhooks_of_a_tenant_are_read_and_no_paused_ones(app: Application) -> None:
    tenant = await app.tenant()
    paused, *_ = ids = await webhooks_of(app, tenant, MOST_OF_TENANT + 3)
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)
    await app.event(tenant)

    leased = await lease(app)

    assert len(leased.endpoints) == MOST_OF_TENANT
    assert set(leased.endpoints) < set(ids)
    assert paused not in leased.endpoints


async def test_columns_may_have_types_of_the_applications(app: Application) -> None:
    tenant = await app.tenant()
    [webhook] = await webhooks_of(app, tenant, 1)
    await app.db.execute(OTHER_TYPES)
    await app.db.execute(
        """UPDATE webhooks SET custom_headers = '{"X-A": "1"}', client_key = 'k'"""
    )
    await app.event(tenant)

    leased = await lease(app)

    assert leased.endpoints == await endpoints.find_ready(app.db, [webhook], within=LEASING.lease)
