"""What keeps results from being stored for long makes no other daemon send anything again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from daemon.core.scheduling import leases
from daemon.pipeline import first_attempts, inbox_search
from daemon.store import inbox_leases
from daemon.store.leased_events import LeasedEvent
from daemon.store.session import Connection
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, insert_delivery, nothing_leased, settled
from tests.support.first_attempts import publish, times
from tests.support.receiver import Receiver, Reply

SHORT = {"timeout": "1s", "retry_schedule": ["1h"]}
LEASES = """
    SELECT leased_until FROM webhook_event_inbox WHERE leased_until IS NOT NULL
     UNION
    SELECT leased_until FROM webhook_deliveries WHERE leased_until IS NOT NULL
"""
RENEWALS = 16  # a quarter of a lease apart


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of two seconds; what has lapsed is found soon."""
    monkeypatch.setattr(leases, "LEASE_BEYOND_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(inbox_search, "FULL_SCAN_SECONDS", 0.2)


async def outlast_leases(app: Application) -> None:
    """Wait until leases have been prolonged, or taken by others, so many times."""
    seen: set[object] = set()

    async def enough() -> bool:
        seen.update(row["leased_until"] for row in await app.db.fetch(LEASES))
        return len(seen) > RENEWALS

    await until(enough)


async def two_webhooks(app: Application, receiver: Receiver) -> tuple[UUID, UUID, UUID]:
    tenant = await app.tenant()
    first = await app.webhook(tenant, receiver.url + "/first")
    other = await app.webhook(await app.tenant(), receiver.url + "/other")
    return tenant, first, other


async def test_of_two_daemons_neither_repeats_what_the_other_cannot_store(
    app: Application, database: str, receiver: Receiver
) -> None:
    """First attempts, of which the event is leased, and others, of which the row is."""
    receiver.answer = lambda _: Reply(500)
    tenant, first, other = await two_webhooks(app, receiver)
    locking = await asyncpg.connect(database)
    async with serving(database, delivery=SHORT), serving(database, delivery=SHORT):
        await locking.execute("BEGIN; LOCK TABLE webhook_stats_batches")
        await publish(app, tenant, 4)
        await insert_delivery(app, other, next_retry_at=None)
        await until(lambda: len(receiver.received) == 5)
        await outlast_leases(app)
        await locking.execute("ROLLBACK")
        await until(lambda: settled(app, first, "failed", 4))
        await until(lambda: settled(app, other, "failed", 1))
        await until(lambda: inbox_is_empty(app))
        await until(lambda: nothing_leased(app))
    await locking.close()

    assert times(receiver, "/first") == dict.fromkeys(range(4), 1)
    assert len(receiver.at("/other")) == 1


async def test_on_a_full_disk_the_leases_are_prolonged_for_which_there_is_room(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page has room for a few new versions; those of a transaction that failed are none."""
    prolong = inbox_leases.prolong

    async def of_few(db: Connection, events: Sequence[LeasedEvent], **options: Any) -> Any:
        if len(events) > 2:
            raise asyncpg.DiskFullError("could not extend file: no space left on device")
        return await prolong(db, events, **options)

    monkeypatch.setattr(inbox_leases, "prolong", of_few)
    receiver.answer = lambda _: Reply(500)
    tenant, first, _ = await two_webhooks(app, receiver)
    locking = await asyncpg.connect(database)
    async with serving(database, delivery=SHORT), serving(database, delivery=SHORT):
        await locking.execute("BEGIN; LOCK TABLE webhook_stats_batches")
        await publish(app, tenant, 5)
        await until(lambda: len(receiver.received) == 5)
        await outlast_leases(app)
        await locking.execute("ROLLBACK")
        await until(lambda: settled(app, first, "failed", 5))

    await locking.close()
    assert times(receiver, "/first") == dict.fromkeys(range(5), 1)


async def test_pending_rows_that_a_table_s_lock_keeps_from_being_inserted_are_inserted_after_it(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of first attempts that had no room: their events are kept until then."""
    monkeypatch.setattr(first_attempts, "QUEUED_SECONDS", 0.0)
    receiver.answer = lambda _: Reply(after=0.5)
    tenant, first, _ = await two_webhooks(app, receiver)
    locking = await asyncpg.connect(database)
    async with serving(database, delivery=SHORT | {"per_endpoint": 1}):
        await locking.execute("BEGIN; LOCK TABLE webhook_deliveries IN SHARE MODE")
        await publish(app, tenant, 4)
        await until(lambda: receiver.received)
        await outlast_leases(app)
        await locking.execute("ROLLBACK")
        await until(lambda: settled(app, first, "success", 4))
    await locking.close()

    assert times(receiver, "/first") == dict.fromkeys(range(4), 1)


async def test_the_lease_of_a_daemon_that_was_killed_is_not_prolonged(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, first, _ = await two_webhooks(app, receiver)
    await publish(app, tenant, 1)
    await app.db.execute(
        "UPDATE webhook_event_inbox"
        "   SET leased_until = now() + interval '1 second', leased_by = -7"
    )
    async with serving(database, delivery=SHORT):
        await until(lambda: settled(app, first, "success", 1))

    assert times(receiver, "/first") == {0: 1}
