"""Counting a replay: page by page, and only if the webhook's filter can be used."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.core.errors import UnusableFilterError
from daemon.core.model.replays import ReplaySource
from daemon.replay.count import count_replay
from daemon.store import replay_candidates
from tests.support.aged_rows import many_deliveries
from tests.support.application import Application
from tests.support.postgres import most_rows_read
from tests.support.replays import KEPT_FOR, YESTERDAY, count, request_for, store_events


async def test_the_count_for_a_webhook_with_an_unusable_filter_is_refused(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "https://a.example", filters={"colour": 1})

    with pytest.raises(UnusableFilterError, match=r"wants no event: event_filters: .*colour"):
        await count_replay(app.db, request_for(webhook), kept_for=KEPT_FOR)


async def test_a_count_over_two_centuries_takes_few_statements(app: Application) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://a.example")
    for year in (1850, 1990, 2025):
        await store_events(app, tenant, 2, since=datetime(year, 6, 1, tzinfo=UTC))
    asked = 0

    def note(_: object) -> None:
        nonlocal asked
        asked += 1

    with app.db.query_logger(note):
        counted = await count(app, request_for(webhook, since=datetime(1800, 1, 1, tzinfo=UTC)))

    assert counted == 6
    assert asked < 25


@pytest.mark.parametrize("source", ReplaySource)
async def test_no_statement_of_a_count_reads_more_than_a_page(
    app: Application, monkeypatch: pytest.MonkeyPatch, source: ReplaySource
) -> None:
    monkeypatch.setattr(replay_candidates, "COUNTED_AT_ONCE", 50)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://a.example")
    for event_type in ("email.opened", "email.clicked", "email.bounced"):
        await store_events(app, tenant, 40, type=event_type)
        await store_events(app, tenant, 40, type=event_type, apart=timedelta())
    await store_events(app, await app.tenant(), 100)
    for status in ("success", "failed"):
        await many_deliveries(app, webhook, 120, at=f"'{YESTERDAY}'", status=status)
    await app.db.execute("UPDATE webhook_deliveries SET event_type = 'email.opened'")
    asked: list[Any] = []
    with app.db.query_logger(asked.append):
        counted = await count(app, request_for(webhook, source=source, types=["email.*"]))
        opened = await count(app, request_for(webhook, source=source, types=["email.opened"]))

    whole = {ReplaySource.EVENTS: (240, 80), ReplaySource.EXHAUSTED: (120, 120)}[source]
    selects = [each for each in asked if "FROM webhook_" in each.query]
    assert (counted, opened) == whole
    for each in selects:
        assert await most_rows_read(app.db, each.query, *each.args) <= 50
