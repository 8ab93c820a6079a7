"""The events that a webhook ought to have got and has not: found in steps, and counted."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.model.cursor import Cursor
from daemon.core.model.explanations import Outcome
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.undelivered import UndeliveredEvent, UndeliveredQuestion
from daemon.explain.explainer import Explainer
from daemon.explain.undelivered import explain_missed, read_step
from daemon.explain.undelivered_counts import UndeliveredCounts
from daemon.runtime.offload import Offload
from daemon.store import undelivered, webhook_history
from daemon.store.database import Database
from daemon.store.event_data_reader import EventDataReader
from daemon.store.undelivered import ProbedPage
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.postgres import most_rows_read
from tests.support.replays import HOUR, YESTERDAY, store_events

AGES = {"deliveries": timedelta(days=30), "events": timedelta(days=90)}
EXPLAINER = Explainer(**AGES, reader=EventDataReader(Offload()))
URL = "https://a.example"


async def webhook_of_old(app: Application, tenant: UUID, **columns: Any) -> UUID:
    """A webhook that was created before yesterday's events."""
    webhook = await app.webhook(tenant, URL, **columns)
    await app.db.execute(
        "UPDATE webhooks SET created_at = now() - interval '1 year' WHERE id = $1", webhook
    )
    return webhook


def question_for(
    tenant: UUID, webhook: UUID, *, since: datetime = YESTERDAY
) -> UndeliveredQuestion:
    return UndeliveredQuestion(TenantId(tenant), WebhookId(webhook), since, datetime.now(UTC))


async def read(
    app: Application, question: UndeliveredQuestion
) -> tuple[list[UndeliveredEvent], int, int]:
    """What all steps find, how many events are unknown, and how many steps there were."""
    webhook = await webhook_history.get(app.db, question.tenant_id, question.webhook_id)
    assert webhook is not None
    kept = await EXPLAINER.kept(app.db)
    found, unknown, steps = [], 0, 0
    before: Cursor | None = Cursor()
    while before is not None:
        step = await read_step(app.lend, question, webhook, kept, before=before)
        found += [await explain_missed(app.lend, webhook, kept, each) for each in step.missed]
        unknown, before, steps = unknown + step.unknown, step.end, steps + 1
    return found, unknown, steps


async def received(app: Application, events: Sequence[UUID]) -> None:
    """Let the events have come in when they say that they were created."""
    await app.db.execute(
        "UPDATE webhook_events SET received_at = created_at WHERE id = ANY ($1)", events
    )


async def delivered(app: Application, webhook: UUID, event: UUID, status: str, **c: Any) -> None:
    values = {"attempt_number": 1, "next_retry_at": None, "attempted_at": YESTERDAY + HOUR} | c
    if status == "pending_retry":
        values["next_retry_at"] = datetime.now(UTC) + HOUR
    await insert_delivery(app, webhook, event_id=event, status=status, **values)


async def test_pauses_corrected_filters_and_exhausted_deliveries_are_undelivered(
    app: Application, tenant: UUID
) -> None:
    webhook = await webhook_of_old(app, tenant, types=["email.opened"])
    other = await webhook_of_old(app, tenant)
    events = await store_events(app, tenant, 8)
    await received(app, events)
    [clicked, gave_up] = await store_events(app, tenant, 2, type="email.clicked")
    await store_events(app, await app.tenant(), 3)
    success, pending, exhausted, recovered, twice, waiting, missed, too_large = events
    await delivered(app, webhook, success, "success")
    await delivered(app, webhook, pending, "failed")
    await delivered(app, webhook, pending, "pending_retry")
    await delivered(app, webhook, exhausted, "failed", error_message="refused")
    await delivered(app, webhook, gave_up, "failed")
    await delivered(app, webhook, recovered, "failed")
    # Long afterwards, by a replay.
    await delivered(app, webhook, recovered, "success", attempted_at=datetime.now(UTC))
    await delivered(app, webhook, twice, "success")
    await delivered(app, webhook, twice, "failed", attempted_at=datetime.now(UTC))
    await delivered(app, webhook, too_large, "failed", too_large=True)
    for each in events:
        await delivered(app, other, each, "success")
    await app.db.execute(
        "INSERT INTO webhook_event_inbox (event_id, tenant_id) VALUES ($1, $2)", waiting, tenant
    )
    found, unknown, _ = await read(app, question_for(tenant, webhook))

    assert {each.event.id: each.explanation.outcome for each in found} == {
        exhausted: Outcome.EXHAUSTED,
        gave_up: Outcome.EXHAUSTED,
        missed: Outcome.UNKNOWN,
        too_large: Outcome.TOO_LARGE,
    }
    assert clicked not in {each.event.id for each in found}  # of a type that it does not want
    assert unknown == 0
    assert await read(app, question_for(tenant, other, since=datetime.now(UTC) - HOUR)) == (
        *([], 0, 1),
    )


async def test_what_is_undelivered_says_why_it_was_not_wanted_then(
    app: Application, tenant: UUID
) -> None:
    webhook = await webhook_of_old(app, tenant, filters={"filters": {"a": 2}})
    [event] = await store_events(app, tenant, 1, data='{"a": 1}')
    [other] = await store_events(app, tenant, 1, data='{"a": 3}')
    [large] = await store_events(app, tenant, 1, data=f'{{"a": 1, "x": "{"x" * 70_000}"}}')
    await received(app, [event, other, large])
    await app.db.execute(
        'UPDATE webhooks SET event_filters = \'{"filters": {"a": 1}}\' WHERE id = $1', webhook
    )
    await app.db.execute("UPDATE webhook_history SET since = NULL")

    found, unknown, _ = await read(app, question_for(tenant, webhook))

    assert [(each.event.id, each.explanation.outcome) for each in found] == [
        (event, Outcome.FILTERED)
    ]
    assert unknown == 1  # the large one


async def test_events_of_before_the_webhook_or_of_deliveries_not_kept_are_left_out(
    app: Application, tenant: UUID
) -> None:
    new = await app.webhook(tenant, URL)
    webhook = await webhook_of_old(app, tenant)
    long_ago = datetime.now(UTC) - timedelta(days=40)
    await received(app, await store_events(app, tenant, 3, since=long_ago))
    await received(app, await store_events(app, tenant, 2))

    of_new = await read(app, question_for(tenant, new, since=long_ago))
    found, unknown, _ = await read(app, question_for(tenant, webhook, since=long_ago))

    assert of_new[:2] == ([], 0)
    assert (len(found), unknown) == (2, 3)


async def test_an_event_that_is_delivered_just_now_is_not_undelivered(
    app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row in the inbox goes when its result comes: between two looks it must be in one."""
    webhook = await webhook_of_old(app, tenant)
    [event] = await store_events(app, tenant, 1)
    await received(app, [event])
    await app.db.execute(
        "INSERT INTO webhook_event_inbox (event_id, tenant_id) VALUES ($1, $2)", event, tenant
    )
    read_page = undelivered.read_page

    async def read_and_deliver(*arguments: Any, **named: Any) -> ProbedPage:
        page = await read_page(*arguments, **named)
        await app.db.execute("DELETE FROM webhook_event_inbox WHERE event_id = $1", event)
        await delivered(app, webhook, event, "success")
        return page

    monkeypatch.setattr(undelivered, "read_page", read_and_deliver)

    found, unknown, _ = await read(app, question_for(tenant, webhook))

    assert (found, unknown) == ([], 0)


@pytest.mark.parametrize("filters", [None, {"filters": {"email_id": "msg_1"}}])
async def test_every_event_is_looked_at_once_in_steps_that_read_little(
    app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch, filters: Any
) -> None:
    monkeypatch.setattr(undelivered, "EVENTS_READ", 40)
    monkeypatch.setattr(undelivered, "EVENTS_PROBED", 15)
    webhook = await webhook_of_old(app, tenant, filters=filters)
    events = await store_events(app, tenant, 90)
    # Many of one time: a page ends in the midst of them.
    events += await store_events(app, tenant, 90, apart=timedelta())
    await received(app, events)
    soon = YESTERDAY + timedelta(minutes=2)
    for each in events[::2]:
        await delivered(app, webhook, each, "success", attempted_at=soon)
    await app.db.execute("ANALYZE")
    asked: list[Any] = []

    with app.db.query_logger(asked.append):
        found, _, steps = await read(app, question_for(tenant, webhook))

    assert len(found) == 90
    assert {each.event.id for each in found} == set(events[1::2])
    assert steps >= 180 / 40
    reads = [each for each in asked if each.query in {undelivered.LIST_EVENTS, undelivered.PROBE}]
    assert reads
    for each in reads:
        assert await most_rows_read(app.db, each.query, *each.args) <= 41


async def test_a_count_goes_on_in_the_background_and_shows_how_far_it_is(
    app: Application, database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undelivered, "EVENTS_READ", 10)
    webhook = await webhook_of_old(app, tenant)
    await received(app, await store_events(app, tenant, 25))
    known = await webhook_history.get(app.db, TenantId(tenant), WebhookId(webhook))
    assert known is not None
    question = question_for(tenant, webhook)
    pool = Database(database, size=1)
    await pool.open()
    counts = UndeliveredCounts(pool, **AGES)
    asked = (YESTERDAY, None)
    totals = []
    for _ in range(4):
        count = counts.count_of(question, known, asked=asked)
        totals.append((count.total, count.is_complete))
        await counts.run_once()
    rests = [await counts.run_once() for _ in range(2)]
    again = counts.count_of(question_for(tenant, webhook), known, asked=asked)
    other = counts.count_of(question_for(tenant, webhook), known, asked=(YESTERDAY, YESTERDAY))
    await pool.close(within=timedelta(seconds=2))

    assert totals == [(0, False), (10, False), (20, False), (25, True)]
    assert min(rests) > 1
    assert (again.total, other.total) == (25, 0)


async def test_counts_are_few_take_turns_and_are_forgotten(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undelivered, "EVENTS_READ", 10)
    tenants = [await app.tenant() for _ in range(2)]
    webhooks = [await webhook_of_old(app, each) for each in tenants]
    known = []
    for tenant, webhook in zip(tenants, webhooks, strict=True):
        await received(app, await store_events(app, tenant, 25))
        found = await webhook_history.get(app.db, TenantId(tenant), WebhookId(webhook))
        assert found is not None
        known.append(found)
    questions = [question_for(*each) for each in zip(tenants, webhooks, strict=True)]
    pool = Database(database, size=1)
    await pool.open()
    counts = UndeliveredCounts(pool, **AGES)

    def ask(n: int, asked: object) -> int:
        return counts.count_of(questions[n], known[n], asked=asked).total

    for number in range(50):
        ask(0, number)
    ask(1, "theirs")
    for _ in range(6):
        await counts.run_once()
    assert ask(1, "theirs") == 10  # six steps for six counts: 45 of the first tenant's are gone
    assert [ask(0, number) for number in range(45, 50)] == [10] * 5
    monkeypatch.setattr("daemon.explain.undelivered_counts.KEPT_SECONDS", -1.0)
    await counts.run_once()
    assert ask(1, "theirs") == 0
    await pool.close(within=timedelta(seconds=2))
