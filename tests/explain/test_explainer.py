"""What became of an event at a webhook: each outcome, from what is stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.errors import MemoryBusyError
from daemon.core.matching.mismatch import ConditionMismatch, TypeMismatch
from daemon.core.model.explanations import Explanation, Outcome, Pause, WaitsFor
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.explain.explainer import Explainer, UnknownObject
from daemon.runtime.offload import Offload
from daemon.store import event_data_reader
from daemon.store.event_data_reader import EventDataReader
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import SHORT, insert_delivery, settled
from tests.support.failing import set_failing
from tests.support.receiver import Receiver, Reply

READER = EventDataReader(Offload())
EXPLAINER = Explainer(timedelta(days=30), timedelta(days=90), READER)
URL = "https://a.example"

Explain = Callable[[UUID, UUID], Awaitable[Explanation]]


@pytest.fixture
def explain(app: Application, tenant: UUID) -> Explain:
    async def explained(event: UUID, webhook: UUID) -> Explanation:
        found = await EXPLAINER.explain(
            app.lend, TenantId(tenant), EventId(event), WebhookId(webhook)
        )
        assert not isinstance(found, UnknownObject)
        return found.explanation

    return explained


class Lending:
    """Lends a connection, and counts how often it is lent now."""

    def __init__(self, db: asyncpg.Connection) -> None:
        self.db = db
        self.lent = 0

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[asyncpg.Connection]:
        self.lent += 1
        yield self.db
        self.lent -= 1


async def taken(app: Application, tenant: UUID, data: Any = None, **columns: Any) -> UUID:
    """An event that left the inbox without a delivery."""
    event = await app.event(tenant, data, **columns)
    await app.db.execute("DELETE FROM webhook_event_inbox WHERE event_id = $1", event)
    return event


async def change(app: Application, webhook: UUID, settings: str) -> None:
    await app.db.execute(f"UPDATE webhooks SET {settings} WHERE id = $1", webhook)


async def test_what_a_daemon_did_is_explained(
    app: Application, database: str, tenant: UUID, receiver: Receiver, explain: Explain
) -> None:
    receiver.answer = lambda it: Reply(500 if it.path == "/down" else 200)
    good, down, picky, other = [
        await app.webhook(tenant, receiver.url + path, types=types, filters=filters)
        for path, types, filters in (
            ("/good", None, None),
            ("/down", None, None),
            ("/picky", None, {"filters": {"contact.tags": ["vip"]}}),
            ("/other", ["contact.*"], None),
        )
    ]
    paused = await app.webhook(tenant, receiver.url)
    await change(app, paused, "is_active = false")
    limited = {"max_body_bytes": 2000}
    async with serving(database, delivery={**SHORT, **limited}):
        event = await app.event(tenant, {"contact": {"tags": ["new"]}})
        large = await app.event(tenant, {"contact": {"tags": ["vip"]}, "x": "x" * 3000})
        await until(lambda: settled(app, down, "failed", 7))
        await until(lambda: settled(app, good, "success", 1))
        await until(lambda: settled(app, picky, "failed", 1))
        found = {each: await explain(event, each) for each in (good, down, picky, other, paused)}
        too_large = await explain(large, picky)

    outcomes = [each.outcome.value for each in found.values()]
    assert outcomes == ["delivered", "exhausted", "filtered", "not_subscribed", "paused"]
    [sent] = [row for row in await app.deliveries(good) if row["status"] == "success"]
    assert found[good].deliveries == (sent["id"],)
    assert found[good].since == sent["attempted_at"]
    assert found[down].reason.startswith("All 6 attempts failed, the last one at ")
    assert len(found[down].deliveries) == 6
    assert "500" in (found[down].error or "")
    assert found[picky].mismatch == ConditionMismatch("filters", "contact.tags", ("new",), ("vip",))
    assert found[picky].reason == 'Its contact.tags is "new", and the webhook wanted "vip".'
    assert found[other].mismatch == TypeMismatch("eventTypes", ("contact.*",))
    assert (found[paused].pause or Pause("", None, None)).by == "person"
    assert too_large.outcome is Outcome.TOO_LARGE
    assert "2,000" in too_large.reason


async def test_the_settings_of_the_moment_count_not_those_of_now(
    app: Application, tenant: UUID, explain: Explain
) -> None:
    webhook = await app.webhook(tenant, URL, types=["email.sent"], filters={"filters": {"a": 1}})
    early = await taken(app, tenant, {"a": 1})
    await change(app, webhook, "event_types = NULL")
    second = await taken(app, tenant, {"b": 1})
    await change(app, webhook, "event_filters = '{\"colour\": 1}'")
    third = await taken(app, tenant, {"a": 1})
    await change(app, webhook, "event_filters = NULL, is_active = false, paused_reason = 'gone'")
    fourth = await taken(app, tenant)
    await change(app, webhook, "event_types = '{email.opened}'")
    await change(app, webhook, "is_active = true")

    found = [await explain(each, webhook) for each in (early, second, third, fourth)]

    assert [each.outcome.value for each in found] == [
        *("not_subscribed", "filtered", "filtered", "paused"),
    ]
    assert found[1].reason.startswith("It has no a, and the webhook wanted 1.")
    assert "colour" in found[2].reason
    pause = found[3].pause
    assert pause is not None
    assert pause.by == "gone"
    rows = await app.db.fetch("SELECT since, until FROM webhook_history ORDER BY id")
    assert (pause.since, pause.until) == (rows[-2]["since"], rows[-1]["until"])


async def test_a_change_between_arrival_and_taking_is_named(
    app: Application, database: str, tenant: UUID, explain: Explain
) -> None:
    webhook = await app.webhook(tenant, URL)
    before_pause = await taken(app, tenant)
    await change(app, webhook, "is_active = false")
    other = await asyncpg.connect(database)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE webhooks SET is_active = true WHERE id = $1", webhook)
    before_commit = await taken(app, tenant)
    await transaction.commit()
    await other.close()

    paused_later = await explain(before_pause, webhook)
    resumed_late = await explain(before_commit, webhook)

    assert (paused_later.outcome, resumed_late.outcome) == (Outcome.PAUSED, Outcome.PAUSED)
    assert "before the daemon took it, the webhook was changed" in paused_later.reason
    assert "not committed yet" in resumed_late.reason


async def test_what_is_not_stored_any_more_is_unknown(
    app: Application, tenant: UUID, explain: Explain
) -> None:
    webhook, deleted, flipped = [await app.webhook(tenant, URL) for _ in range(3)]
    event = await taken(app, tenant)
    await app.db.execute(
        "DO $$ BEGIN FOR n IN 1..150 LOOP UPDATE webhooks SET is_active = NOT is_active"
        f" WHERE id = '{flipped}'; END LOOP; END $$"
    )
    await app.db.execute("DELETE FROM webhooks WHERE id = $1", deleted)
    after = await taken(app, tenant)
    lost = await explain(event, webhook)
    gone, gone_before = await explain(event, deleted), await explain(after, deleted)
    too_often = await explain(event, flipped)
    await app.db.execute(
        "UPDATE webhooks SET created_at = now() - interval '1 year', event_types = '{a.b}';"
        " UPDATE webhook_history SET since = NULL WHERE until > now() - interval '1 minute';"
        " UPDATE webhook_events SET received_at = now() - interval '40 days'"
    )
    old = await explain(event, webhook)

    assert {each.outcome for each in (lost, gone, gone_before, too_often, old)} == {Outcome.UNKNOWN}
    assert "erased, or deleted by the application" in lost.reason
    assert "was deleted at" in gone.reason
    assert "before the event came in" in gone_before.reason
    assert "changed too often" in too_often.reason
    assert "deliveries are kept for 30 days only" in old.reason


async def test_a_webhook_of_later_and_data_too_large_to_compare_are_told(
    app: Application, tenant: UUID, explain: Explain
) -> None:
    event = await taken(app, tenant, {"x": "x" * (9 * 1024 * 1024)})
    later = await app.webhook(tenant, URL)
    filtered = await app.webhook(tenant, URL, filters={"filters": {"x": 1}})
    await app.db.execute(
        "UPDATE webhooks SET created_at = now() - interval '1 h' WHERE id = $1", filtered
    )

    assert (await explain(event, later)).outcome is Outcome.CREATED_LATER
    assert (await explain(event, filtered)).outcome is Outcome.TOO_LARGE


async def test_large_data_are_compared_of_one_event_at_a_time_and_by_tenant_in_turn(
    app: Application, database: str, tenant: UUID, explain: Explain
) -> None:
    webhook = await app.webhook(tenant, URL, filters={"filters": {"a": 1}})
    small = await taken(app, tenant, {"a": 2})
    large = await taken(app, tenant, {"a": 2, "x": "x" * (7 * 1024 * 1024)})
    other = TenantId(await app.tenant())
    theirs = await app.webhook(other, URL, filters={"filters": {"a": 1}})
    their_large = EventId(await taken(app, other, {"x": "x" * 100_000}))
    lending = Lending(await asyncpg.connect(database))
    async with READER.data_of(app.lend, TenantId(tenant), EventId(large)):
        of_small = await explain(small, webhook)
        with pytest.raises(MemoryBusyError, match="try again"):
            await explain(large, webhook)
        waiting = asyncio.create_task(
            EXPLAINER.explain(lending.lend, other, their_large, WebhookId(theirs))
        )
        await until(lambda: other in READER._in_line)
        assert not waiting.done()
        assert lending.lent == 0

    assert not isinstance(await waiting, UnknownObject)
    assert of_small.outcome is Outcome.FILTERED
    assert (await explain(large, webhook)).outcome is Outcome.FILTERED
    await lending.db.close()


async def test_a_large_event_is_refused_when_those_of_others_take_long(
    app: Application, tenant: UUID, explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_data_reader, "WAIT_SECONDS", 0.01)
    webhook = await app.webhook(tenant, URL, filters={"filters": {"a": 1}})
    large = await taken(app, tenant, {"a": 2, "x": "x" * 100_000})
    other = TenantId(await app.tenant())
    their_large = EventId(await taken(app, other, {"x": "x" * 100_000}))
    async with READER.data_of(app.lend, other, their_large):
        with pytest.raises(MemoryBusyError, match="other large events"):
            await explain(large, webhook)

    assert (await explain(large, webhook)).outcome is Outcome.FILTERED


async def test_an_event_that_waits_is_pending_unless_the_webhook_refuses_it(
    app: Application, tenant: UUID, explain: Explain
) -> None:
    webhook = await app.webhook(tenant, URL)
    refusing = await app.webhook(tenant, URL, types=["email.sent"])
    event = await app.event(tenant)
    waiting, refused = await explain(event, webhook), await explain(event, refusing)
    await app.db.execute("UPDATE webhook_event_inbox SET leases = 1")
    taken_now = await explain(event, webhook)

    assert (waiting.outcome, refused.outcome) == (Outcome.PENDING, Outcome.NOT_SUBSCRIBED)
    assert "has not taken the event yet" in waiting.reason
    assert "a change of the webhook still counts" in refused.reason
    assert "first attempt is under way" in taken_now.reason


async def test_a_pending_attempt_says_what_it_waits_for(
    app: Application, tenant: UUID, explain: Explain
) -> None:
    webhook = await app.webhook(tenant, URL)
    now = datetime.now(UTC)
    event, hour = uuid4(), timedelta(hours=1)
    await insert_delivery(
        app, webhook, event_id=event, status="failed", attempt_number=1, error_message="it hung up"
    )
    attempt = await insert_delivery(app, webhook, event_id=event, next_retry_at=now + hour)
    found = [await explain(event, webhook)]
    await app.db.execute(
        "UPDATE webhook_deliveries SET next_retry_at = $2 WHERE id = $1", attempt, now - hour
    )
    found.append(await explain(event, webhook))
    await set_failing(app, webhook)
    found.append(await explain(event, webhook))
    await app.db.execute(
        "UPDATE webhook_deliveries SET leased_until = now() + interval '1 h' WHERE id = $1", attempt
    )
    found.append(await explain(event, webhook))
    await app.db.execute("UPDATE webhook_deliveries SET leased_until = NULL")
    await change(app, webhook, "is_active = false, paused_reason = 'failures'")
    found.append(await explain(event, webhook))

    assert {each.outcome for each in found} == {Outcome.PENDING}
    assert [each.pending and each.pending.waits_for for each in found] == [
        *(WaitsFor.SCHEDULE, WaitsFor.TURN, WaitsFor.PROBE, WaitsFor.RESPONSE, WaitsFor.RESUME),
    ]
    assert all(each.reason.startswith("Attempt 2 ") for each in found)
    assert all(each.error == "it hung up" for each in found)
    assert found[-1].reason.endswith("it hung up.")


async def test_a_success_outweighs_what_came_after_it_which_is_mentioned(
    app: Application, tenant: UUID, explain: Explain
) -> None:
    webhook = await app.webhook(tenant, URL)
    event, now = uuid4(), datetime.now(UTC)
    made = []
    for number, (status, error) in enumerate(
        [("failed", "one"), ("success", None), ("success", None), ("failed", "four")], 1
    ):
        made.append(
            await insert_delivery(
                app,
                webhook,
                event_id=event,
                status=status,
                attempt_number=number,
                attempted_at=now + timedelta(seconds=number),
                error_message=error,
            )
        )

    found = await explain(event, webhook)

    assert found.outcome is Outcome.DELIVERED
    assert found.deliveries == (made[2], made[1])
    assert "by attempt 2" in found.reason
    assert "sent again once since" in found.reason
    assert found.reason.endswith(": four.")


async def test_another_tenant_s_webhook_or_event_is_unknown(app: Application, tenant: UUID) -> None:
    other = await app.tenant()
    webhook, event = await app.webhook(tenant, URL), await taken(app, tenant)
    theirs, their_event = await app.webhook(other, URL), await taken(app, other)

    for asked, kind in (((event, theirs), "webhook"), ((their_event, webhook), "event")):
        found = await EXPLAINER.explain(
            app.lend, TenantId(tenant), EventId(asked[0]), WebhookId(asked[1])
        )
        assert found == UnknownObject(kind)
    everywhere = await EXPLAINER.explain_everywhere(app.lend, TenantId(tenant), EventId(event))
    assert [each.webhook.id for each in everywhere] == [webhook]


async def test_an_event_is_explained_everywhere_with_as_many_statements_as_at_one_webhook(
    app: Application, tenant: UUID
) -> None:
    webhooks = [await app.webhook(tenant, URL) for _ in range(30)]
    event = await taken(app, tenant)
    statements: list[str] = []

    async def explained_at(some: list[UUID]) -> int:
        statements.clear()
        with app.db.query_logger(lambda each: statements.append(each.query)):
            found = await EXPLAINER.explain_at(
                *(app.lend, TenantId(tenant), EventId(event), [WebhookId(each) for each in some])
            )
        assert [each.webhook.id for each in found] == some
        return len(statements)

    await explained_at(webhooks)  # the driver looks up types the first time

    assert await explained_at(webhooks) == await explained_at(webhooks[:1]) > 0
