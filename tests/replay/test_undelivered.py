"""What a webhook has had is known, and left out on demand; of what is too old it is unknown."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.model.replays import CountedReplay, EarlierDeliveries
from daemon.replay import count as replay_count
from daemon.replay.reasons import reason_for_nothing
from daemon.store import earlier_deliveries
from daemon.store.session import prepare
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, nothing_pending
from tests.support.postgres import most_rows_read
from tests.support.receiver import Receiver
from tests.support.replays import (
    HOUR,
    KEPT_FOR,
    YESTERDAY,
    counts,
    get_replay,
    public_ids,
    received,
    request_for,
    start,
    store_events,
    until_ended,
)

DAY = timedelta(days=1)
LONG_AGO = datetime.now(UTC) - timedelta(days=40)


async def delivered(app: Application, webhook: UUID, event: UUID, **columns: object) -> None:
    await insert_delivery(
        app, webhook, event_id=event, status="success", next_retry_at=None, **columns
    )


async def test_exactly_what_the_webhook_has_not_had_is_sent(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook", types=["email.*"])
    other = await app.webhook(tenant, receiver.url + "/other", types=["other"])
    await store_events(app, tenant, 5, type="contact.created")
    had, failed, waiting, missed, elsewhere = [
        await store_events(app, tenant, 4, since=YESTERDAY + n * HOUR) for n in range(5)
    ]
    for number in range(4):
        await delivered(app, webhook, had[number])
        await insert_delivery(app, webhook, event_id=had[number], status="failed")
        await insert_delivery(app, webhook, event_id=failed[number], status="failed")
        await insert_delivery(app, webhook, event_id=waiting[number])
        await delivered(app, other, elsewhere[number])
    async with serving(database):
        replay = await start(app, request_for(webhook, only_undelivered=True))
        await until_ended(app, replay.id)
        await until(lambda: nothing_pending(app))
        replay = await get_replay(app, replay.id)
        again = await counts(app, request_for(webhook, only_undelivered=True))

    missing = [*failed, *waiting, *missed, *elsewhere]
    assert received(receiver) == sorted(public_ids(missing))
    assert (replay.total, replay.sent, replay.delivered, replay.reason) == (16, 16, 16, None)
    assert reason_for_nothing(again) == "all 20 events were delivered before"


async def test_events_older_than_deliveries_are_kept_are_unknown(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    old = await store_events(app, tenant, 3, since=LONG_AGO)
    await app.db.execute("UPDATE webhook_events SET received_at = created_at")
    [recent] = await store_events(app, tenant, 1)
    await delivered(app, webhook, old[0], attempted_at=LONG_AGO)
    request = request_for(webhook, since=LONG_AGO)

    # None of the deliveries of a younger webhook can have been deleted for its age.
    young = await counts(app, request)
    await app.db.execute("UPDATE webhooks SET created_at = $1", LONG_AGO - DAY)
    known = await counts(app, request)
    only = request_for(webhook, since=LONG_AGO, only_undelivered=True)
    async with serving(database):
        replay = await until_ended(app, (await start(app, only)).id)
        none = await counts(app, only)

    assert young.earlier == EarlierDeliveries(delivered=1, unknown=0)
    assert (known.total, known.earlier) == (4, EarlierDeliveries(delivered=1, unknown=2))
    assert received(receiver) == public_ids([recent])
    assert (replay.total, replay.sent) == (1, 1)
    assert reason_for_nothing(none) == (
        "2 of the events were delivered before, and each of the others is older than deliveries"
        " are kept, so it is unknown whether it was delivered"
    )


REASONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"since": YESTERDAY - DAY, "to": YESTERDAY - HOUR}, "no event of that time is stored"),
    (
        {"types": ["email.*"]},
        {"types": ["contact.created", "contact.updated"]},
        "the webhook does not subscribe to contact.created, contact.updated",
    ),
    ({}, {"types": ["list.*"]}, "none of the 5 events of that time has one of these types"),
    (
        {"types": ["list.*"]},
        {},
        "none of the 5 events of that time has a type to which the webhook subscribes",
    ),
    (
        {"filters": {"filters": {"email_id": "msg_2"}}},
        {"types": ["email.*"]},
        "none of the 5 events of these types matches the webhook's filters",
    ),
]


@pytest.mark.parametrize(("webhook", "asked", "reason"), REASONS)
async def test_a_replay_of_nothing_says_why(
    app: Application, webhook: dict[str, Any], asked: dict[str, Any], reason: str
) -> None:
    tenant = await app.tenant()
    await store_events(app, tenant, 5)
    to = await app.webhook(tenant, "https://receiver.example/", **webhook)

    counted = await counts(app, request_for(to, **asked))

    assert (counted.total, reason_for_nothing(counted)) == (0, reason)


async def test_a_page_of_a_comparison_reads_a_bounded_number_of_rows(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often events were attempted; and the last of many attempts is found."""
    monkeypatch.setattr(replay_count, "READ_AT_ONCE", 5)
    await prepare(app.db)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://receiver.example/")
    events = await store_events(app, tenant, 12)
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, status, attempted_at,"
        " next_retry_at) SELECT $1, $2, 'x', 'failed', now(), NULL FROM generate_series(1, 3000)",
        *(webhook, events[0]),
    )
    for event in events[1:4]:
        for status in ("failed",) * 200 + ("success",):
            await insert_delivery(app, webhook, event_id=event, status=status, next_retry_at=None)

    counted = await counts(app, request_for(webhook))
    read = await most_rows_read(
        app.db, earlier_deliveries.FIND, webhook, [events[0], events[11]], KEPT_FOR
    )

    assert _summary(counted) == (12, 3)
    assert read <= 1000


def _summary(counted: CountedReplay) -> tuple[int, int]:
    assert counted.earlier is not None
    return counted.total, counted.earlier.delivered


async def test_partitions_of_before_an_event_are_not_read(app: Application) -> None:
    await prepare(app.db)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://receiver.example/")
    [event] = await store_events(app, tenant, 1)
    await delivered(app, webhook, event, attempted_at=datetime.now(UTC) - 2 * HOUR)
    known = await counts(app, request_for(webhook))
    await app.db.execute("UPDATE webhook_events SET received_at = NULL")
    unknown_time = await counts(app, request_for(webhook))

    assert (_summary(known), _summary(unknown_time)) == ((1, 0), (1, 1))
