"""What came of a replay: a chain counts once, when it ends, for each replay that it is part of."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.model.attempts import AttemptResult, Claim, Outcome, Response, Verdict
from daemon.core.model.cursor import FIRST_ID
from daemon.core.model.ids import DeliveryId, ReplayId, WebhookId
from daemon.core.model.replays import Replay, ReplaySource, ReplayStatus, failed_of
from daemon.core.scheduling.lanes import LaneTurn
from daemon.store import (
    claims,
    erasure_deliveries,
    remaining_attempts,
    replay_results,
    results,
)
from daemon.store.session import prepare
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.deliveries import insert_delivery, nothing_pending, settled
from tests.support.failing import set_failing
from tests.support.receiver import Receiver, Reply
from tests.support.replays import (
    HOUR,
    YESTERDAY,
    cancel,
    count,
    get_replay,
    request_for,
    start,
    store_events,
    until_ended,
)
from tests.support.samples import samples

SIX_QUICK_ATTEMPTS = {"retry_schedule": ["10ms"] * 5, "failing_backoff": "0s"}
ONE_LATE_RETRY = {"retry_schedule": ["1h"], "failing_backoff": "0s"}
AVOIDED = "webhookd_duplicates_avoided_total"


def outcome_of(replay: Replay) -> tuple[int, int | None, int | None, int | None]:
    return replay.total, replay.delivered, replay.failed, replay.waiting


async def test_what_fails_in_a_replay_of_a_delivered_event_is_exhausted_and_can_be_retried(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    exhausted = request_for(webhook, source=ReplaySource.EXHAUSTED)
    async with serving(database, delivery=SIX_QUICK_ATTEMPTS):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        receiver.answer = lambda _: Reply(500)
        first = await start(app, request_for(webhook))
        await until(lambda: settled(app, webhook, "failed", 6))
        first = await until_ended(app, first.id)
        found = await count(app, exhausted), await count(app, failed_of(first))
        receiver.answer = lambda _: Reply(200)
        second = await until_ended(app, (await start(app, failed_of(first))).id)
        left = await count(app, exhausted), await count(app, failed_of(first))
        first = await get_replay(app, first.id)

    rows = await app.deliveries(webhook)
    assert [row["attempt_number"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [row["chain_start"] for row in rows] == [1, *[2] * 6, 8]
    assert (found, left) == ((1, 1), (0, 0))
    assert outcome_of(first) == (1, 0, 1, 0)
    assert (outcome_of(second), second.of_replay) == ((1, 1, 0, 0), first.id)


async def test_a_replay_beside_a_scheduled_retry_sends_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery=ONE_LATE_RETRY) as service:
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "pending_retry", 1))
        receiver.answer = lambda _: Reply(200)
        replay = await until_ended(app, (await start(app, request_for(webhook))).id)
        await until(lambda: settled(app, webhook, "success", 1))
        replay = await get_replay(app, replay.id)
        metrics = samples(await metrics_of(service))

    rows = await app.deliveries(webhook)
    assert len(receiver.received) == 2
    assert [(row["attempt_number"], row["chain_start"]) for row in rows] == [(1, 1), (2, 1)]
    assert (outcome_of(replay), replay.sent) == ((1, 1, 0, 0), 1)
    assert metrics[f"{AVOIDED} because=pending"] == 1


async def test_a_chain_counts_for_every_replay_that_comes_to_it(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await store_events(app, tenant, 3)
    async with serving(database, delivery=ONE_LATE_RETRY):
        first = await until_ended(app, (await start(app, request_for(webhook))).id)
        receiver.answer = lambda _: Reply(200)
        since = request_for(webhook, since=YESTERDAY - HOUR)
        second = await until_ended(app, (await start(app, since)).id)
        await until(lambda: nothing_pending(app))
        outcomes = [outcome_of(await get_replay(app, each.id)) for each in (first, second)]

    assert outcome_of(first) == (3, 0, 0, 3)
    assert first.status is ReplayStatus.COMPLETED  # all are made; what waits is a retry
    assert outcomes == [(3, 3, 0, 0), (3, 3, 0, 0)]
    assert len(receiver.received) == 6


async def test_what_a_success_elsewhere_ends_is_not_sent_and_counts_as_delivered(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    [event, *_] = await store_events(app, tenant, 1)
    replay = await start(app, request_for(webhook))
    await app.db.execute(
        "UPDATE webhook_replays SET made = 1, status = 'completed' WHERE id = $1", replay.id
    )
    await insert_delivery(app, webhook, event_id=event, chain_replays=[replay.id])
    other = await insert_delivery(app, webhook)
    async with serving(database):
        now = datetime.now(UTC)
        await insert_delivery(app, webhook, event_id=event, attempt_number=9, next_retry_at=now)
        await until(lambda: settled(app, webhook, "success", 1))

    left = await app.db.fetch("SELECT id FROM webhook_deliveries WHERE status = 'pending_retry'")
    assert [row["id"] for row in left] == [other]
    assert len(receiver.received) == 1
    assert outcome_of(await get_replay(app, replay.id)) == (1, 1, 0, 0)


async def test_the_success_of_a_first_attempt_ends_what_is_pending_beside_it(
    app: Application, database: str, receiver: Receiver
) -> None:
    """Whether results are stored alone or by the hundred."""
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    alone, *many = [uuid4() for _ in range(200)]
    for event in (alone, many[0], many[99]):
        await insert_delivery(app, webhook, event_id=event)
    insert = (
        "INSERT INTO webhook_events (id, tenant_id, event_type, event_data)"
        " SELECT id, $1, 'email.opened', '{}' FROM unnest($2::uuid[]) AS id"
    )
    async with serving(database) as service:
        await app.db.execute(insert, tenant, [alone])
        await until(lambda: settled(app, webhook, "success", 1))
        await app.db.execute(insert, tenant, many)
        await until(lambda: settled(app, webhook, "success", 200))
        await metrics_of(service, showing=f'{AVOIDED}{{because="delivered"}} 3.0')

    assert await nothing_pending(app)
    assert len(receiver.received) == 200


async def test_a_result_that_comes_after_its_lease_was_lost_counts_for_no_replay(
    app: Application,
) -> None:
    await prepare(app.db)
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    replay = await start(app, request_for(webhook))
    await app.db.execute(
        "UPDATE webhook_replays SET made = 2, total = 2, delivered = 0 WHERE id = $1", replay.id
    )
    long_ago = datetime(2025, 1, 1, tzinfo=UTC)
    for number in range(2):
        await insert_delivery(
            app,
            webhook,
            next_retry_at=long_ago + timedelta(days=number),
            chain_replays=[replay.id],
        )

    stale = await _claim(app.db, webhook, lease=timedelta(microseconds=1))
    second, third = await _claim(app.db, webhook, lease=HOUR)
    stored = [
        len(await results.store(app.db, [_result(each, delivered=delivered)]))
        for each, delivered in [(stale[0], False), (second, True), (second, True), (third, False)]
    ]

    assert stored == [0, 1, 0, 1]
    assert outcome_of(await get_replay(app, replay.id)) == (2, 1, 1, 0)


ODD_ARRAYS = {
    "far too many": "array_fill(gen_random_uuid(), ARRAY[100000])",
    "NULL": "ARRAY[NULL, NULL]::uuid[]",
    "none": "ARRAY[]::uuid[]",
    "several dimensions": "ARRAY[ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()]]",
}


@pytest.mark.parametrize("replays", ODD_ARRAYS.values(), ids=ODD_ARRAYS)
async def test_results_are_stored_whatever_is_written_as_the_replays_of_their_chains(
    app: Application, replays: str
) -> None:
    await prepare(app.db)
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    long_ago = datetime(2025, 1, 1, tzinfo=UTC)
    events = [uuid4(), uuid4()]
    for event in events:
        await insert_delivery(app, webhook, event_id=event, next_retry_at=long_ago)
        await insert_delivery(app, webhook, event_id=event)
    await app.db.execute(f"UPDATE webhook_deliveries SET chain_replays = {replays}")

    claimed = await _claim(app.db, webhook, lease=HOUR)
    stored = await results.store(app.db, [_result(each, delivered=True) for each in claimed])
    await remaining_attempts.remove(app.db, claimed)

    assert len(stored) == 2
    assert await nothing_pending(app)
    assert await app.db.fetchval("SELECT count(*) FROM webhook_replay_results") <= 8


async def _claim(db: asyncpg.Connection, webhook: UUID, *, lease: timedelta) -> list[Claim]:
    turn = LaneTurn(WebhookId(webhook), 2, None)
    return (await claims.claim(db, [turn], lease=lease, most_bytes=1000))[turn.webhook_id].claims


def _result(claim: Claim, *, delivered: bool) -> AttemptResult:
    status = 200 if delivered else 500
    error = None if delivered else "no"
    verdict = Verdict(delivered=delivered, status=status, error=error, retry_in=None)
    return AttemptResult(claim, Outcome(Response(status, (), ""), took_ms=1), verdict, None)


async def test_outcomes_are_added_up_once_and_those_of_deleted_replays_are_deleted(
    app: Application,
) -> None:
    await prepare(app.db)
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    replay = await start(app, request_for(webhook))
    await app.db.execute("UPDATE webhook_replays SET made = 20, total = 20")
    await app.db.execute(
        "INSERT INTO webhook_replay_results (replay_id, delivered, failed, erased)"
        " SELECT id, 3, 2, 1 FROM unnest($1::uuid[]) AS id, generate_series(1, 3)",
        [replay.id, uuid4()],
    )

    before = await get_replay(app, replay.id)
    last: UUID | None = FIRST_ID
    while last is not None:
        last = await replay_results.add_up_next(app.db, after=last)
    after = await get_replay(app, replay.id)

    assert outcome_of(before) == (17, 9, 6, 2)
    assert after == before
    assert await app.db.fetchval("SELECT count(*) FROM webhook_replay_results") == 0


async def test_outcomes_of_a_locked_replay_are_added_up_later(
    app: Application, database: str
) -> None:
    await prepare(app.db)
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    replay = await start(app, request_for(webhook))
    insert = "INSERT INTO webhook_replay_results VALUES (DEFAULT, $1, 1, 0, 0)"
    await app.db.execute(insert, replay.id)
    other = await asyncpg.connect(database)
    lock = other.transaction()
    await lock.start()
    await other.execute("SELECT FROM webhook_replays FOR UPDATE")

    passed = await replay_results.add_up_next(app.db, after=FIRST_ID)
    locked = await app.db.fetchval("SELECT count(*) FROM webhook_replay_results")
    await lock.rollback()
    await replay_results.add_up_next(app.db, after=FIRST_ID)
    await other.close()

    assert (passed, locked) == (replay.id, 1)
    assert await app.db.fetchval("SELECT delivered FROM webhook_replays") == 1
    assert await app.db.fetchval("SELECT count(*) FROM webhook_replay_results") == 0


async def test_an_erased_delivery_no_longer_belongs_to_its_replay(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    replay = await start(app, request_for(webhook))
    await app.db.execute("UPDATE webhook_replays SET made = 2, total = 2")
    pending = await insert_delivery(app, webhook, chain_replays=[replay.id])
    failed = await insert_delivery(app, webhook, chain_replays=[replay.id], status="failed")

    step = await erasure_deliveries.erase(
        app.db, WebhookId(webhook), [DeliveryId(pending), DeliveryId(failed)]
    )

    assert (step.erased.deliveries, step.erased.pending) == (2, 1)
    assert (await get_replay(app, replay.id)).total == 1


async def test_cancelling_keeps_the_attempt_that_was_brought_forward(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = WebhookId(await app.webhook(tenant, receiver.url))
    [waiting, *_] = await store_events(app, tenant, 20)
    kept = await insert_delivery(app, webhook, event_id=waiting)
    await set_failing(app, webhook)
    async with serving(database):
        replay = await start(app, request_for(webhook))
        await until(lambda: _counts_for(app, kept, replay.id))
        cancelled = await cancel(app, replay.id)

    [row] = await app.deliveries(webhook)
    assert (row["id"], row["status"]) == (kept, "pending_retry")
    assert row["next_retry_at"] <= datetime.now(UTC)
    assert outcome_of(cancelled) == (20, 0, 0, 1)
    assert receiver.received == []


async def _counts_for(app: Application, delivery: UUID, replay: ReplayId) -> bool:
    found = await app.db.fetchval(
        "SELECT chain_replays FROM webhook_deliveries WHERE id = $1", delivery
    )
    return bool(found == [replay])


async def test_a_replay_waits_for_an_attempt_that_another_transaction_holds(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    before, held, _ = await store_events(app, tenant, 3)
    pending = await insert_delivery(app, webhook, event_id=held)
    other = await asyncpg.connect(database)
    lock = other.transaction()
    await lock.start()
    await other.execute("SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE", pending)
    async with serving(database):
        replay = await start(app, request_for(webhook))
        await until(lambda: settled(app, webhook, "success", 1))
        waiting = [request.event["id"] for request in receiver.received]
        await lock.rollback()
        replay = await until_ended(app, replay.id)
    await other.close()

    assert waiting == [f"evt_{before.hex}"]
    assert len(receiver.received) == 3
    assert outcome_of(await get_replay(app, replay.id)) == (3, 3, 0, 0)


async def test_a_total_that_ends_short_is_corrected_and_says_why(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    narrowed = await app.webhook(tenant, receiver.url)
    erased = await app.webhook(tenant, receiver.url, types=["email.clicked"])
    await store_events(app, tenant, 8)
    await store_events(app, tenant, 2, type="email.clicked")
    begun = [await start(app, request_for(each)) for each in (narrowed, erased)]
    await app.db.execute(
        "UPDATE webhooks SET event_types = '{email.clicked}' WHERE id = $1", narrowed
    )
    await app.db.execute(
        "DELETE FROM webhook_events WHERE id = (SELECT id FROM webhook_events"
        " WHERE event_type = 'email.clicked' LIMIT 1)"
    )
    async with serving(database):
        ended = [await until_ended(app, each.id) for each in begun]

    assert [each.total for each in begun] == [10, 2]
    assert [outcome_of(each) for each in ended] == [(1, 1, 0, 0), (1, 1, 0, 0)]
    assert [each.reason for each in ended] == [
        (
            "9 of the 10 that were counted were not sent: the webhook's event types or filters"
            " were changed meanwhile"
        ),
        "1 of the 2 that were counted was not sent: the events were deleted meanwhile",
    ]
