"""Times that PostgreSQL can store and Python cannot represent: a row with one stops nothing."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.store.database import Database
from daemon.store.lanes import seconds_until
from daemon.store.timestamps import EARLIEST, LATEST, decode, encode
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.receiver import Receiver

ODD = ["infinity", "-infinity", "0044-03-15 BC", "12000-01-01", "4713-01-02 BC", "294276-12-30"]
each_odd_time = pytest.mark.parametrize("time", ODD)


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_of_python_is_decoded_as_it_was_encoded(moment: datetime) -> None:
    assert decode(encode(moment)) == moment


def test_a_time_is_encoded_in_any_zone() -> None:
    noon = datetime(2025, 11, 25, 12, tzinfo=UTC)
    assert encode(noon.astimezone(timezone(timedelta(hours=-7)))) == encode(noon)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        encode(datetime(2025, 11, 25))  # noqa: DTZ001


async def test_times_beyond_pythons_calendar_are_read_as_its_ends(database: str) -> None:
    connections = Database(database, size=2)
    await connections.open()
    async with connections.connection() as db:
        read = {time: await db.fetchval(f"SELECT '{time}'::timestamptz") for time in ODD}
        both = await db.fetchval("SELECT $1::timestamptz[]", [EARLIEST, LATEST])
        infinite = await db.fetchval(
            "SELECT $1::timestamptz = '-infinity' AND $2::timestamptz = 'infinity'", *both
        )
    await connections.close(within=timedelta(seconds=5))
    assert read == {time: EARLIEST if time[0] == "-" or "BC" in time else LATEST for time in ODD}
    assert infinite


async def insert_delivery(app: Application, webhook: UUID, **columns: str) -> UUID:
    """Insert a delivery as the application may, with SQL literals as values."""
    delivery_id = uuid4()
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", '{value}'" for value in columns.values())
    await app.db.execute(
        f"INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload{names})"
        f" VALUES ($1, $2, $3, 'email.opened', '{{}}'{values})",
        *(delivery_id, webhook, uuid4()),
    )
    return delivery_id


async def test_due_times_beyond_the_calendar_stop_no_loop(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/odd")
    await app.webhook(other, f"{receiver.url}/other")
    for time in ODD:
        await insert_delivery(app, webhook, next_retry_at=time)
    async with serving(database):
        await until(lambda: len(receiver.at("/odd")) == 3)  # those in the past
        for _ in range(3):
            await app.event(other)
        await until(lambda: len(receiver.at("/other")) == 3, within=5)


@each_odd_time
async def test_the_seconds_until_any_time_are_a_number(app: Application, time: str) -> None:
    """PostgreSQL calculates with `infinity` since version 17, and has no use for the outcome."""
    sql = seconds_until(f"'{time}'::timestamptz")
    seconds = await app.db.fetchval(f"SELECT {sql}")

    is_past = time.startswith("-") or "BC" in time
    assert -1e10 < seconds < 0 if is_past else 0 < seconds < 1e10


async def test_an_event_of_any_time_is_delivered(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url)
    for time in ODD:
        await insert_delivery(app, webhook, event_created_at=time)
    async with serving(database):
        await until(lambda: len(receiver.received) == len(ODD), within=10)
    created = {request.event["created_at"] for request in receiver.received}
    assert created == {"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"}


@each_odd_time
async def test_a_webhook_with_any_times_can_be_managed(
    time: str, app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    columns = ("created_at", "updated_at", "last_success_at", "previous_secret_expires_at")
    for column in columns:
        await app.db.execute(f"UPDATE webhooks SET {column} = '{time}' WHERE id = $1", webhook)
    async with serving_api(database, tenant) as api:
        there = f"/api/webhooks/{webhook}"
        answers = [
            await api.get("/api/webhooks"),
            await api.get(there),
            await api.patch(there, {"name": "another"}),
            await api.post(f"{there}/rotate-secret", {"overlap": "0s"}),
            await api.post(f"{there}/test", {"sample": True}),
            await api.delete(there),
        ]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 200, 204]


@each_odd_time
async def test_events_and_deliveries_of_any_time_are_shown(
    time: str, app: Application, database: str, receiver: Receiver
) -> None:
    tenant, event = await app.tenant(), uuid4()
    async with serving_api(database, tenant) as api:
        await app.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)"
            f" VALUES ($1, $2, 'email.opened', '{{}}', '{time}')",
            *(event, tenant),
        )
        webhook = (await api.create_webhook(receiver.url, isActive=False))["id"]
        for column in ("attempted_at", "next_retry_at", "event_created_at"):
            row = await insert_delivery(app, UUID(webhook), **{column: time, "status": "failed"})
            for path in (f"/api/deliveries/{row}", f"/api/webhooks/{webhook}/deliveries"):
                assert (await api.get(path)).status == 200
            older = await api.get(f"/api/webhooks/{webhook}/deliveries", before=row)
            assert older.status == 200
        for path in (f"/api/events/{event}", "/api/events"):
            assert (await api.get(path)).status == 200
        assert (await api.get("/api/events", before=event)).status == 200
