"""
Results whose rows another transaction holds while the daemon stops.

Mostly that is another daemon, for a moment: so two that share a database do in a rolling upgrade.
"""

import asyncpg
import pytest

from daemon.pipeline.result_writer import ResultWriter
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.foreign_rows import Held
from tests.support.receiver import Receiver


@pytest.mark.parametrize("rows", ["webhook_event_inbox", "webhooks"])
async def test_a_result_that_another_transaction_holds_for_a_moment_is_stored_before_the_stop(
    app: Application,
    database: str,
    receiver: Receiver,
    rows: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = ResultWriter.emptied

    async def emptied(self: ResultWriter) -> None:
        """The daemon is stopping; now the other one ends its transaction."""
        await other.execute("ROLLBACK")
        await original(self)

    monkeypatch.setattr(ResultWriter, "emptied", emptied)
    other = await asyncpg.connect(database)
    held = Held(receiver)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/held")
    async with serving(database) as service:
        await app.event(tenant, {"n": 0})
        await held.ids(1)
        await other.execute("BEGIN")
        await other.execute(f"SELECT FROM {rows} FOR UPDATE")
        held.release()
        await metrics_of(service, showing="webhookd_held_results 1.0")
    await other.close()

    assert await settled(app, webhook, "success", 1)
    assert await inbox_is_empty(app)


async def test_a_result_that_another_transaction_keeps_delays_no_stop_and_its_event_stays(
    app: Application, database: str, receiver: Receiver
) -> None:
    other = await asyncpg.connect(database)
    held = Held(receiver)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/held")
    async with serving(database) as service:
        await app.event(tenant, {"n": 0})
        await held.ids(1)
        await other.execute("BEGIN")
        await other.execute("SELECT FROM webhooks FOR UPDATE")
        held.release()
        await metrics_of(service, showing="webhookd_held_results 1.0")
    await other.execute("ROLLBACK")
    await other.close()

    assert await app.deliveries(webhook) == []
    assert await app.db.fetchval("SELECT leased_until IS NULL FROM webhook_event_inbox")
