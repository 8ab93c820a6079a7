"""What is erased of a contact or a tenant, what is not, and that daemons go on meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from daemon.core.errors import WebhookdError
from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.core.model.ids import TenantId
from daemon.core.policy.contact_fields import CONTACT_PLACES, PATHS
from daemon.maintenance.erasure import Erasure, Progress
from daemon.store import erasure
from daemon.store.database import Database
from daemon.store.erasure import NIL
from tests.support.aged_rows import (
    OLD,
    count_in,
    ids_in,
    many_deliveries,
    many_events,
    stored_delivery,
    stored_event,
    stored_notice,
    stored_replay,
)
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.postgres import most_rows_read
from tests.support.receiver import Receiver, Reply

NOW = "now()"


@asynccontextmanager
async def eraser_of(
    url: str, tenant: UUID, contact: str | None = None, **options: Any
) -> AsyncIterator[Erasure]:
    database = Database(url, size=2)
    await database.open()
    try:
        yield Erasure(database, ErasureTarget(TenantId(tenant), contact), **options)
    finally:
        await database.close(within=timedelta(seconds=2))


async def erased(url: str, tenant: UUID, contact: str | None = None) -> ErasureCounts:
    async with eraser_of(url, tenant, contact) as eraser:
        return await eraser.erase()


async def counted(url: str, tenant: UUID, contact: str | None = None) -> ErasureCounts:
    async with eraser_of(url, tenant, contact) as eraser:
        return await eraser.count()


def about(contact: object) -> str:
    return orjson.dumps({"email_id": "msg_1", "contact": contact}).decode()


def data_with(place: str, value: object) -> str:
    """`{"contact": {"id": value}}` for `contact.id`."""
    for name in reversed(place.split(".")):
        value = {name: value}
    return orjson.dumps(value).decode()


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@pytest.fixture
async def webhook(app: Application, tenant: UUID) -> UUID:
    return await app.webhook(tenant, "https://example.com")


# One contact


async def test_a_contact_s_events_go_with_their_deliveries_answers_and_all(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    his, hers = about({"id": "cont_1"}), about({"id": "cont_2"})
    event = await stored_event(app, tenant, data=his, at=NOW)
    waiting = await stored_event(app, tenant, data=his, at=NOW, waiting=True)
    other = await stored_event(app, tenant, data=hers, at=NOW, waiting=True)
    for status in ("failed", "success", "pending_retry"):
        await stored_delivery(app, webhook, event_id=event, payload=his, status=status)
    kept = await stored_delivery(app, webhook, event_id=other, payload=hers)

    tally = await erased(database, tenant, "cont_1")

    assert tally == ErasureCounts(events=2, waiting=1, deliveries=3, pending=1)
    assert await ids_in(app, "webhook_events") == {other}
    assert await ids_in(app, "webhook_deliveries") == {kept}
    assert await app.db.fetchval("SELECT event_id FROM webhook_event_inbox") == other
    assert waiting not in await ids_in(app, "webhook_events")


@pytest.mark.parametrize("place", CONTACT_PLACES)
async def test_a_contact_is_found_wherever_data_may_name_it(
    app: Application, database: str, tenant: UUID, place: str
) -> None:
    ours = (data_with(place, "cont_1"), data_with(place, ["cont_0", "cont_1"]))
    for data in ours:
        await stored_event(app, tenant, data=data)
    others = {
        await stored_event(app, tenant, data=data)
        for data in (
            data_with(place, "cont_10"),
            data_with(place, "CONT_1"),
            data_with(place, {"n": "cont_1"}),
            data_with(f"elsewhere.{place}", "cont_1"),
        )
    }

    await erased(database, tenant, "cont_1")

    assert await ids_in(app, "webhook_events") == others


async def test_an_address_is_the_same_in_capitals_and_beside_a_name(
    app: Application, database: str, tenant: UUID
) -> None:
    for data in (
        about({"email": "Sarah@Example.com"}),
        data_with("to", "sarah@example.com"),
        data_with("to", ["eve@example.com", "Sarah Johnson <SARAH@example.com>"]),
    ):
        await stored_event(app, tenant, data=data)
    others = {
        await stored_event(app, tenant, data=data_with("to", other))
        for other in ("sarah@example.com.au", "xsarah@example.com", "<sarah@example.com> and more")
    }

    await erased(database, tenant, "sarah@EXAMPLE.com")

    assert await ids_in(app, "webhook_events") == others


HOSTILE = (
    "'; DROP TABLE webhooks; --",
    '"',
    '\\"',
    "%",
    "_",
    "$.contact",
    "$5",
    "{}",
    "null",
    "42",
    " ",
    "çöntact_ß_漢_\U0001f427",
    "\u0130stanbul@example.com",
    "line\nbreak\u2028\u0001",
    "x" * 10_000,
)


@pytest.mark.parametrize("contact", HOSTILE, ids=ascii)
async def test_whatever_a_contact_is_called_it_is_that_one_and_no_other(
    app: Application, database: str, tenant: UUID, webhook: UUID, contact: str
) -> None:
    await stored_event(app, tenant, data=about({"id": contact}))
    await stored_delivery(app, webhook, payload=about({"id": contact}))
    others = {
        await stored_event(app, tenant, data=about({"id": other}))
        for other in (*HOSTILE, contact + "x", "x" + contact, "", None)
        if other != contact
    }

    tally = await erased(database, tenant, contact)

    assert tally == ErasureCounts(events=1, deliveries=1)
    assert await ids_in(app, "webhook_events") == others


async def test_a_number_is_named_as_it_is_written(
    app: Application, database: str, tenant: UUID
) -> None:
    await stored_event(app, tenant, data='{"contact_id": 42}')
    others = {await stored_event(app, tenant, data=f'{{"contact_id": {n}}}') for n in (420, 4.2)}

    await erased(database, tenant, "42")

    assert await ids_in(app, "webhook_events") == others


async def test_data_of_any_shape_is_looked_through(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    shapes = (None, "null", "17", '"cont_1"', '["cont_1"]', "{}", '{"contact": []}', "[[]]")
    for shape in shapes:
        await stored_event(app, tenant, data=shape)
        await stored_delivery(app, webhook, payload=shape)
    await stored_event(app, tenant, data='[{"contact": [{"id": ["cont_1"]}]}]')

    await erased(database, tenant, "cont_1")

    assert await count_in(app, "webhook_events") == len(shapes)
    assert await count_in(app, "webhook_deliveries") == len(shapes)


async def test_deliveries_go_though_their_event_is_gone_and_though_they_hold_no_copy(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event = await stored_event(app, tenant, data=about("cont_1"))
    await stored_delivery(app, webhook, payload=about("cont_1"))
    await stored_delivery(app, webhook, event_id=event, payload=None, response_body="cont_1")

    assert await erased(database, tenant, "cont_1") == ErasureCounts(events=1, deliveries=2)
    assert await count_in(app, "webhook_deliveries") == 0


async def test_no_time_and_no_calendar_hides_a_row(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    times = ("NULL", "'infinity'", "'-infinity'", "'4000-01-01 BC'", NOW)
    for at in (*times, *times):
        await stored_event(app, tenant, data=about("cont_1"), at=at)
        await stored_delivery(app, webhook, payload=about("cont_1"), at=at)

    tally = await erased(database, tenant, "cont_1")

    assert tally == ErasureCounts(events=10, deliveries=10)


async def test_what_is_another_tenant_s_stays_whatever_it_shares(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    other = await app.tenant()
    other_webhook = await app.webhook(other, "https://example.com")
    ours = await stored_event(app, tenant, data=about("cont_1"))
    theirs = await stored_event(app, other, data=about("cont_1"), waiting=True)
    await stored_delivery(app, webhook, event_id=theirs, payload=about("cont_1"))
    kept = {
        await stored_delivery(app, other_webhook, event_id=event, payload=about("cont_1"))
        for event in (ours, theirs)
    }

    await erased(database, tenant, "cont_1")
    after_contact = await ids_in(app, "webhook_events"), await ids_in(app, "webhook_deliveries")
    await erased(database, tenant)

    assert after_contact == ({theirs}, kept)
    assert await ids_in(app, "webhook_events") == {theirs}
    assert await ids_in(app, "webhook_deliveries") == kept
    assert await count_in(app, "webhook_event_inbox") == 1
    assert await ids_in(app, "webhooks") == {other_webhook}


async def test_a_contact_is_found_among_thousands(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    await many_events(app, tenant, 5000)
    await many_events(app, tenant, 2000, at=f"{OLD} + n * interval '1 second'")
    await many_deliveries(app, webhook, 5000)
    for at in (OLD, f"{OLD} + interval '1000 seconds'", NOW):
        await stored_event(app, tenant, data=about("cont_1"), at=at)
        await stored_delivery(app, webhook, payload=about("cont_1"), at=at)

    tally = await erased(database, tenant, "cont_1")

    assert tally == ErasureCounts(events=3, deliveries=3)
    assert await count_in(app, "webhook_events") == 7000
    assert await count_in(app, "webhook_deliveries") == 5000


@pytest.mark.parametrize("at", [OLD, "NULL"])
async def test_a_page_is_read_without_the_rest_of_its_moment(
    app: Application, tenant: UUID, webhook: UUID, at: str
) -> None:
    await many_deliveries(app, webhook, 3000, at=at)
    await many_events(app, tenant, 3000, at=at)
    place = ("-infinity", NIL, 100)

    deliveries = await most_rows_read(app.db, erasure.DELIVERIES, webhook, *place)
    events = await most_rows_read(app.db, erasure.EVENTS, "cont_1", PATHS, tenant, *place)

    assert (deliveries, events) == (100, 100)


async def test_a_few_events_are_erased_without_reading_what_else_there_is(
    app: Application, tenant: UUID, webhook: UUID
) -> None:
    few = [await stored_event(app, tenant) for _ in range(20)]
    for event in few[:10]:
        await stored_delivery(app, webhook, event_id=event)
    await many_events(app, tenant, 3000)
    await many_deliveries(app, webhook, 3000)

    read = {
        "deliveries": await most_rows_read(app.db, erasure.ERASE_DELIVERIES_OF, tenant, few, 1000),
        "events": await most_rows_read(app.db, erasure.ERASE_EVENTS, tenant, few),
        "left": await most_rows_read(app.db, erasure.EVENTS_LEFT, tenant, few),
    }

    assert read == {"deliveries": 10, "events": 20, "left": 20}


async def test_an_event_with_more_deliveries_than_go_at_once_is_erased_whole(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event = await stored_event(app, tenant, data=about("cont_1"))
    await many_deliveries(app, webhook, 2500)
    await app.db.execute("UPDATE webhook_deliveries SET event_id = $1", event)

    assert await erased(database, tenant, "cont_1") == ErasureCounts(events=1, deliveries=2500)


# All of a tenant's


async def test_everything_of_a_tenant_goes_and_the_tenant_itself_stays(
    app: Application, database: str, tenant: UUID
) -> None:
    other = await app.tenant()
    for each in (tenant, other):
        for _ in range(2):
            webhook = await app.webhook(each, "https://example.com")
            await many_deliveries(app, webhook, 1500)
            await stored_delivery(app, webhook, at="NULL", status="pending_retry")
            await stored_notice(app, webhook)
            await stored_replay(app, webhook, status="running", finished="NULL")
        await many_events(app, each, 3000)
        await stored_event(app, each, at="NULL")
    await stored_event(app, tenant, waiting=True)
    everything = ErasureCounts(
        events=3002,
        waiting=1,
        deliveries=3002,
        pending=2,
        replays=2,
        notices=2,
        webhooks=2,
    )

    before = await counted(database, tenant)
    tally = await erased(database, tenant)
    again = await erased(database, tenant)

    assert before == tally == everything
    assert again == ErasureCounts()
    for table in ("webhooks", "webhook_events", "webhook_replays", "webhook_notices"):
        assert await count_in(app, f"{table} WHERE tenant_id = '{tenant}'") == 0
        assert await count_in(app, f"{table} WHERE tenant_id = '{other}'") > 0
    assert await count_in(app, "webhook_deliveries") == 3002
    assert await count_in(app, "webhook_event_inbox") == 0
    assert tenant in await ids_in(app, "tenants")


async def test_a_tenant_is_known_by_its_row_or_by_anything_of_it(
    app: Application, database: str, tenant: UUID
) -> None:
    removed = uuid4()
    await stored_event(app, removed)

    async def known(each: UUID) -> bool:
        async with eraser_of(database, each) as eraser:
            return await eraser.known()

    assert [await known(each) for each in (tenant, removed, uuid4())] == [True, True, False]


# Counting


async def test_counting_tells_what_erasing_would_and_changes_nothing(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event = await stored_event(app, tenant, data=about("cont_1"), waiting=True)
    await stored_delivery(app, webhook, event_id=event, payload=None)
    await stored_delivery(app, webhook, event_id=event, payload=about("cont_1"))
    await stored_delivery(app, webhook, payload=about("cont_1"), status="pending_retry")
    await stored_delivery(app, webhook)
    await stored_event(app, tenant)

    tallies = [await counted(database, tenant, "cont_1") for _ in range(2)]
    tallies.append(await erased(database, tenant, "cont_1"))

    assert tallies == [ErasureCounts(events=1, waiting=1, deliveries=3, pending=1)] * 3


# While others are at work


async def test_an_erasure_that_was_interrupted_is_finished_by_the_next(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    events = [await stored_event(app, tenant, data=about("cont_1")) for _ in range(60)]
    for event in events:
        await stored_delivery(app, webhook, event_id=event, payload=None)

    def interrupt(progress: Progress) -> None:
        if progress.tally.events:
            raise InterruptedError

    async with eraser_of(database, tenant, "cont_1", tell=interrupt) as eraser:
        with pytest.raises(InterruptedError):
            await eraser.erase()
    between = await count_in(app, "webhook_events")
    await erased(database, tenant, "cont_1")

    assert between == 10
    assert await count_in(app, "webhook_events") == 0
    assert await count_in(app, "webhook_deliveries") == 0


@pytest.mark.parametrize("contact", ["cont_1", None])
async def test_what_somebody_holds_is_waited_for_and_nothing_else_is(
    app: Application, database: str, tenant: UUID, webhook: UUID, contact: str | None
) -> None:
    held = await stored_delivery(app, webhook, payload=about("cont_1"))
    await stored_delivery(app, webhook, payload=about("cont_1"))
    person = await asyncpg.connect(database)
    async with eraser_of(database, tenant, contact) as eraser:
        async with person.transaction():
            await person.execute("SELECT 1 FROM webhook_deliveries WHERE id = $1 FOR UPDATE", held)
            erasing = asyncio.create_task(eraser.erase())
            await until(lambda: only(app, held))
        tally = await erasing
    await person.close()

    assert tally.deliveries == 2


async def only(app: Application, delivery: UUID) -> bool:
    return await ids_in(app, "webhook_deliveries") == {delivery}


async def test_a_webhook_that_somebody_holds_is_paused_before_anything_is_erased(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event, delivery = await stored_event(app, tenant), await stored_delivery(app, webhook)
    other = await app.webhook(tenant, "https://example.com")
    settler = await asyncpg.connect(database)
    async with eraser_of(database, tenant) as eraser:
        async with settler.transaction():
            await settler.execute("SELECT 1 FROM webhooks WHERE id = $1 FOR UPDATE", webhook)
            erasing = asyncio.create_task(eraser.erase())
            await until(lambda: paused(app, other))
            await asyncio.wait([erasing], timeout=0.3)
            during = await ids_in(app, "webhook_events"), await ids_in(app, "webhook_deliveries")
        tally = await erasing
    await settler.close()

    assert during == ({event}, {delivery})
    assert tally == ErasureCounts(events=1, deliveries=1, webhooks=2)


async def paused(app: Application, webhook: UUID) -> bool:
    return not await app.db.fetchval("SELECT is_active FROM webhooks WHERE id = $1", webhook)


@pytest.mark.parametrize("table", ["webhook_events", "webhook_event_inbox", "webhooks"])
async def test_who_holds_rows_for_ever_is_told_of_and_the_rest_is_erased(
    app: Application, database: str, tenant: UUID, webhook: UUID, table: str
) -> None:
    await stored_event(app, tenant, waiting=True)
    await stored_delivery(app, webhook)
    person = await asyncpg.connect(database)
    async with eraser_of(database, tenant, patience_seconds=0.2) as eraser, person.transaction():
        await person.execute(f"SELECT 1 FROM {table} FOR UPDATE")

        with pytest.raises(WebhookdError, match="holds some of the rows"):
            await eraser.erase()
    await person.close()

    assert await erased(database, tenant)
    assert await count_in(app, "webhooks") == 0


async def test_the_next_attempt_of_what_is_just_being_settled_goes_as_well(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event = await stored_event(app, tenant, data=about("cont_1"))
    first = await stored_delivery(
        app, webhook, event_id=event, payload=about("cont_1"), status="pending_retry"
    )
    settler = await asyncpg.connect(database)
    async with eraser_of(database, tenant, "cont_1") as eraser:
        async with settler.transaction():
            await settler.execute(
                "UPDATE webhook_deliveries SET status = 'failed' WHERE id = $1", first
            )
            await settler.execute(
                "INSERT INTO webhook_deliveries (webhook_id, event_id, payload, event_created_at,"
                " next_retry_at) SELECT webhook_id, event_id, payload, now(), next_retry_at"
                " FROM webhook_deliveries WHERE id = $1",
                first,
            )
            erasing = asyncio.create_task(eraser.erase())
            await asyncio.wait([erasing], timeout=0.3)
        tally = await erasing
    await settler.close()

    assert tally == ErasureCounts(events=1, deliveries=2, pending=1)
    assert await count_in(app, "webhook_deliveries") == 0


async def test_what_is_pending_is_never_sent_and_others_are(
    app: Application, database: str, receiver: Receiver, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, receiver.url)
    for contact in ("cont_1", "cont_2"):
        await app.event(tenant, {"contact": {"id": contact}})
        await stored_delivery(app, webhook, payload=about({"id": contact}), status="pending_retry")
    await app.db.execute("UPDATE webhook_deliveries SET next_retry_at = now()")

    await erased(database, tenant, "cont_1")

    async with serving(database):
        await until(lambda: settled(app, webhook, "success", 2))
    assert {request.event["data"]["contact"]["id"] for request in receiver.received} == {"cont_2"}


async def test_a_delivery_in_flight_whose_row_is_gone_harms_nobody(
    app: Application, database: str, receiver: Receiver, tenant: UUID
) -> None:
    receiver.answer = lambda request: Reply(500 if b"cont_1" in request.body else 200, after=0.5)
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery={"retry_schedule": ["100ms"] * 5}):
        await app.event(tenant, {"contact": "cont_1"})
        await until(lambda: len(receiver.received) == 1)

        tally = await erased(database, tenant, "cont_1")

        await app.event(tenant, {"contact": "cont_2"})
        await until(lambda: settled(app, webhook, "success", 1))

    health = await app.health(webhook)
    assert tally == ErasureCounts(events=1, deliveries=1, pending=1)
    assert [b"cont_1" in request.body for request in receiver.received] == [True, False]
    assert (health["consecutive_failures"], health["last_failure_at"]) == (0, None)
    assert len(await app.deliveries(webhook)) == 1


@pytest.mark.parametrize("contact", ["cont_1", None])
async def test_nothing_is_left_though_a_daemon_delivers_and_fails_all_the_while(
    app: Application, database: str, receiver: Receiver, tenant: UUID, contact: str | None
) -> None:
    receiver.answer = lambda _: Reply(500)
    other = await app.tenant()
    other_webhook = await app.webhook(other, receiver.url + "/other")
    for n in range(3):
        await app.webhook(tenant, f"{receiver.url}/{n}")
    schedule = {"retry_schedule": ["10ms"] * 50, "failing_after": 1000, "pause_after": 100_000}
    async with serving(database, delivery=schedule):
        for _ in range(60):
            await app.event(tenant, {"contact": "cont_1"})
        await app.event(other, {"contact": "cont_1"})
        await until(lambda: len(receiver.received) > 100)

        await erased(database, tenant, contact)

        left = await app.db.fetch(
            "SELECT 1 FROM webhook_deliveries WHERE webhook_id <> $1"
            " UNION ALL SELECT 1 FROM webhook_events WHERE tenant_id = $2",
            other_webhook,
            tenant,
        )
        await until(lambda: settled(app, other_webhook, "failed", 3))
        receiver.answer = lambda _: Reply(200)
        await until(lambda: settled(app, other_webhook, "success", 1))

    assert left == []
