"""A webhook that is changed all the time costs nobody's statements, while nothing is vacuumed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from daemon.core.model.cursor import FIRST_ID, LAST_ID
from daemon.core.model.ids import TenantId
from daemon.core.scheduling.inbox_scan import EMPTY_SNAPSHOT, InboxScan
from daemon.core.scheduling.inbox_turns import InboxTurn
from daemon.store import event_inbox, leased_events
from daemon.store.claims import LEASE_DUE
from daemon.store.endpoints import FIND_READY
from daemon.store.event_inbox import SCAN
from daemon.store.lanes import FIND_DUE_LANES, FIND_DUE_LANES_OF, FIND_TENANTS
from daemon.store.leased_events import LEASE_TURNS, Leasing
from daemon.store.session import prepare
from daemon.store.subscriptions import ALONE, FIND_BY_ID
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.postgres import pages_read

VERSIONS = 3000  # some eighty pages
MORE = 12  # pages, which indexes of more versions cost
LEASE = timedelta(seconds=15)
LEASING = Leasing(lease=LEASE, daemon_key=7, most_bytes=1000)
DUE = datetime(2025, 1, 1, tzinfo=UTC)
# Each in a transaction of its own: those of one are not kept.
CHANGE = """
    CREATE PROCEDURE change(changed uuid, times int) LANGUAGE plpgsql AS $$
    BEGIN
        FOR number IN 1..times LOOP
            UPDATE webhooks SET description = number::text
             WHERE ctid = (SELECT ctid FROM webhooks
                            WHERE id >= changed AND id <= changed ORDER BY id DESC LIMIT 1);
            COMMIT;
        END LOOP;
    END $$
"""
EVERYTHING = (["0"], [UUID(int=2**128 - 1)], [str(2**63 - 1)])


class Changed:
    """A webhook of which most versions are dead, and that of another tenant."""

    def __init__(self, app: Application, tenants: list[UUID], webhooks: list[UUID]) -> None:
        self.tenant, self.other = tenants
        self.webhook, self.of_other = self.both = webhooks
        self._app = app

    async def change(self) -> None:
        await self._app.db.execute("SET synchronous_commit = off")
        await self._app.db.execute(CHANGE)
        await self._app.db.execute(f"CALL change('{self.webhook}', {VERSIONS})")


@pytest.fixture
async def changed(app: Application, database: str) -> AsyncIterator[Changed]:
    await prepare(app.db)
    tenants = [await app.tenant() for _ in range(2)]
    webhooks = [await app.webhook(each, "https://receiver.example/") for each in tenants]
    old = await asyncpg.connect(database)
    await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM webhooks")
    yield Changed(app, tenants, webhooks)
    await old.close()


def by_id(changed: Changed) -> dict[str, list[object]]:
    """Statements that look webhooks up by their ids, with their parameters."""
    ids = changed.both
    claim = (ids, [5, 5], [DUE, DUE], LEASE, 1000, 1000, 1.0, None)
    return {
        LEASE_DUE: [*claim],
        FIND_READY: [ids, LEASE, None],
        FIND_BY_ID: [ids, ALONE],
        FIND_TENANTS: [ids],
        FIND_DUE_LANES: [FIRST_ID, 10, LEASE, LAST_ID],
        FIND_DUE_LANES_OF: [ids, LEASE],
    }


async def test_a_webhook_is_found_by_its_id_past_its_former_versions(
    app: Application, changed: Changed
) -> None:
    for webhook in changed.both:
        await insert_delivery(app, webhook, next_retry_at=DUE)
    statements = by_id(changed)
    before = [await pages_read(app.db, *each) for each in as_calls(statements)]
    found = [await app.db.fetch(*each) for each in as_calls(statements) if "UPDATE" not in each[0]]

    await changed.change()

    after = [await pages_read(app.db, *each) for each in as_calls(statements)]
    again = [await app.db.fetch(*each) for each in as_calls(statements) if "UPDATE" not in each[0]]
    assert [b - a <= MORE for a, b in zip(before, after, strict=True)] == [True] * len(before)
    assert [len(each) for each in again] == [len(each) for each in found]


def as_calls(statements: dict[str, list[object]]) -> list[tuple[str, *tuple[object, ...]]]:
    return [(statement, *arguments) for statement, arguments in statements.items()]


@pytest.mark.parametrize(
    "change", ["", "DELETE FROM webhooks", "UPDATE webhooks SET is_active = false"]
)
async def test_a_scan_reads_no_webhooks_of_a_tenant_known_to_be_slow(
    app: Application, changed: Changed, change: str
) -> None:
    for each in (changed.tenant, changed.other):
        await app.event(each)

    async def pages(slow: list[UUID]) -> int:
        return await pages_read(
            *(app.db, SCAN, *LEASING.arguments, *EVERYTHING, 100, [], 100, 32),
            *("0", [], 100, [False], slow),
        )

    before = await pages([])
    await changed.change()
    if change:
        await app.db.execute(f"{change} WHERE id = $1", changed.webhook)

    assert await pages([changed.tenant]) <= before + MORE
    assert await pages([]) > before + 2 * MORE  # once, and it tells so


async def test_a_scan_and_turns_tell_which_tenant_is_slow(
    app: Application, changed: Changed
) -> None:
    await changed.change()
    for each in (changed.tenant, changed.other) * 2:
        await app.event(each)
    tenant, other = TenantId(changed.tenant), TenantId(changed.other)

    async def scan(*slow: TenantId) -> event_inbox.Scan:
        return await event_inbox.scan(
            *(app.db, InboxScan(keys_per_range=100).ranges(now=0.0), LEASING),
            seen=EMPTY_SNAPSHOT,
            waiting=[],
            keys=100,
            limit=100,
            per_key=1,
            slow=slow,
        )

    first = await scan()
    await app.db.execute("UPDATE webhook_event_inbox SET leased_until = NULL")
    second = await scan(tenant)
    await app.db.execute("UPDATE webhook_event_inbox SET leased_until = NULL")
    turns = [InboxTurn(each.key, UUID(int=0), 10) for each in first.leased.events]  # type: ignore[arg-type]
    third = await leased_events.lease_turns(app.db, turns, LEASING)
    await app.db.execute("UPDATE webhook_event_inbox SET leased_until = NULL")
    fourth = await leased_events.lease_turns(app.db, turns, LEASING, slow=[tenant])

    for leased in (first.leased, third):
        assert set(leased.endpoints) == set(changed.both)
        assert leased.pages[tenant] > 2 * MORE
        assert leased.pages[other] <= MORE
    for leased in (second.leased, fourth):
        assert {each.event.tenant_id for each in leased.events} == {tenant, other}
        assert set(leased.endpoints) == {changed.of_other}
        assert set(leased.pages) == {other}


async def test_turns_read_no_webhooks_of_a_tenant_known_to_be_slow(
    app: Application, changed: Changed
) -> None:
    await app.event(changed.tenant)
    xid = await app.db.fetchval("SELECT xid::text FROM webhook_event_inbox")

    async def pages(slow: list[UUID]) -> int:
        turn: tuple[list[object], ...]
        turn = ([xid], [changed.tenant], [UUID(int=0)], [10], [], [], [])
        return await pages_read(app.db, LEASE_TURNS, *LEASING.arguments, *turn, slow)

    before = await pages([])
    await changed.change()

    assert await pages([changed.tenant]) <= before + MORE
    assert await pages([]) > before + 2 * MORE
