"""Which subscriptions changed is named by tenant where one has many, whatever it costs that one."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.inbox_scan import Snapshot, newly_visible
from daemon.store import event_inbox, subscription_changes
from daemon.store.columns import columns
from daemon.store.session import prepare
from daemon.store.subscription_changes import FIND_CHANGES, Change
from tests.support import postgres
from tests.support.application import Application

MANY = 4000
BOUNDS = 100, 10, 50
A, B, C = (TenantId(UUID(int=number)) for number in (1, 2, 3))
ONE = WebhookId(UUID(int=1))


async def note(app: Application, tenant: UUID, count: int = 1) -> None:
    """Note changes in a transaction of their own."""
    await app.db.execute(
        "INSERT INTO webhook_subscription_changes (tenant_id, webhook_id)"
        " SELECT $1, lpad(to_hex(n), 32, '0')::uuid FROM generate_series(1, $2::int) AS n",
        *(tenant, count),
    )


async def found(app: Application, seen: Snapshot) -> Sequence[Change] | None:
    now = await event_inbox.current_snapshot(app.db)
    return await subscription_changes.find(app.db, seen=seen, now=now)


async def pages(app: Application, seen: Snapshot, now: Snapshot) -> int:
    ranges = newly_visible(seen, now)
    return await postgres.pages_read(
        app.db,
        FIND_CHANGES,
        *columns([(str(each.after.xid), each.after.tenant_id, str(each.last)) for each in ranges]),
        *BOUNDS,
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(("MOST_PLACES", "MOST_OF_PLACE", "MOST_NAMED"), BOUNDS, strict=True):
        monkeypatch.setattr(subscription_changes, name, value)


@pytest.mark.usefixtures("small")
async def test_a_tenant_with_many_changes_is_named_as_a_whole_and_others_by_webhook(
    app: Application,
) -> None:
    await note(app, C, MANY)
    seen = await event_inbox.current_snapshot(app.db)
    async with app.db.transaction():
        await note(app, A, MANY)
        await note(app, B)
    await note(app, A)

    assert await found(app, seen) == [(A, None), (B, ONE)]


@pytest.mark.usefixtures("small")
async def test_a_tenant_with_many_transactions_keeps_no_other_s_changes_from_being_named(
    app: Application,
) -> None:
    seen = await event_inbox.current_snapshot(app.db)
    for _ in range(8):
        await note(app, A, 9)
    await note(app, B)

    assert await found(app, seen) == [(A, None), (B, ONE)]


@pytest.mark.usefixtures("small")
async def test_changes_of_more_tenants_than_can_be_named_are_not_named(app: Application) -> None:
    seen = await event_inbox.current_snapshot(app.db)
    for number in range(1, 100):
        await note(app, UUID(int=number))
    before = await found(app, seen)
    await note(app, UUID(int=100))

    # Of the first fifty each webhook is named, but for the last: there might have been more.
    assert before is not None
    assert {tenant for tenant, _ in before} == {UUID(int=number) for number in range(1, 100)}
    assert [webhook for _, webhook in before].count(None) == 50
    assert await found(app, seen) is None


async def test_nothing_is_found_where_nothing_changed(app: Application) -> None:
    await note(app, A)
    seen = await event_inbox.current_snapshot(app.db)
    await app.db.execute("SELECT pg_current_xact_id()")

    assert await found(app, seen) == []
    assert await subscription_changes.find(app.db, seen=seen, now=seen) == []


async def test_changes_are_found_when_their_transaction_has_ended_and_once(
    app: Application, database: str
) -> None:
    other = await asyncpg.connect(database)
    first = await event_inbox.current_snapshot(app.db)
    async with other.transaction():
        await note(Application(other), A)
        await note(app, B)
        running = await found(app, first)
        second = await event_inbox.current_snapshot(app.db)
    ended = await found(app, second)
    third = await event_inbox.current_snapshot(app.db)
    await other.close()

    assert (running, ended, await found(app, third)) == ([(B, ONE)], [(A, ONE)], [])


@pytest.mark.parametrize("how", ["committed", "running"])
async def test_a_tenant_s_many_changes_are_not_read(
    app: Application, database: str, how: str
) -> None:
    """Neither do statistics of the empty table matter."""
    await prepare(app.db)
    await app.db.execute("ANALYZE webhook_subscription_changes")
    seen = await event_inbox.current_snapshot(app.db)
    other = await asyncpg.connect(database)
    await other.execute("BEGIN")
    await note(Application(other), A, MANY)
    await note(app, B)
    if how == "committed":
        await other.execute("COMMIT")
    now = await event_inbox.current_snapshot(app.db)
    read = await pages(app, seen, now)
    await other.close()

    assert read < MANY / 50
