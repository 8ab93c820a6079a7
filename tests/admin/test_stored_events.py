"""Events over the API: their data up to a length, their deliveries, and their lists."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from daemon.core.event_types import EVENT_TYPES
from daemon.core.operational_event_types import OPERATIONAL_TYPES
from daemon.store.bounded_texts import LONGEST_RESPONSE
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver
from tests.support.shown_deliveries import one_delivered

NO_RETRIES: dict[str, Any] = {"delivery": {"retry_schedule": []}}


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant, **NO_RETRIES) as caller:
        yield caller


LARGEST = '{"a": "' + "x" * (1024 * 1024 - 9) + '"}'


DATA = {
    "at the limit": (LARGEST, False),
    "above the limit": (LARGEST.replace('"}', 'x"}'), True),
}


@pytest.mark.parametrize(("text", "cut"), DATA.values(), ids=DATA)
async def test_an_event_is_shown_with_data_up_to_1_mib(
    api: ApiClient, app: Application, tenant: UUID, text: str, cut: bool
) -> None:
    event = await app.event(tenant, text=text)

    shown = await api.get(f"/api/events/{event}")

    assert shown.status == 200
    assert (shown.json["dataCut"], shown.json["dataSize"]) == (cut, len(text))
    assert shown.json["data"] == (None if cut else orjson.loads(text))


@pytest.mark.parametrize(("arrays", "as_text"), [(49_999, False), (50_000, True)])
async def test_data_of_more_arrays_than_anyone_reads_are_shown_as_text(
    api: ApiClient, app: Application, tenant: UUID, arrays: int, as_text: bool
) -> None:
    text = f"[{', '.join(['[]'] * arrays)}]"
    event = await app.event(tenant, text=text)

    shown = await api.get(f"/api/events/{event}")

    assert shown.json["data"] == (text if as_text else orjson.loads(text))


async def test_texts_that_the_application_wrote_are_shown_up_to_a_length(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook, shown = await one_delivered(api, app, tenant, receiver)
    for length in (2_000, 100_000):
        await app.db.execute(
            """UPDATE webhook_deliveries
                  SET error_message = repeat('e', $2), response_body = repeat('b', 30 * $2)
                WHERE webhook_id = $1""",
            webhook,
            length,
        )

        listed = await api.get(f"/api/webhooks/{webhook}/deliveries")
        detail = await api.get(f"/api/deliveries/{shown['id']}")

        assert listed.json["deliveries"][0]["errorMessage"] == "e" * 2_000
        assert detail.json["errorMessage"] == "e" * 2_000
        assert len(detail.json["response"]["body"]) == min(30 * length, LONGEST_RESPONSE)
        assert detail.json["request"]["headers"] == shown["request"]["headers"]


async def test_an_event_is_shown_with_its_deliveries(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    one, two = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(2)]
    event = await app.event(tenant, {"n": 1})
    await until(lambda: settled(app, one, "success", 1))
    await until(lambda: settled(app, two, "success", 1))

    listed = await api.get("/api/events")
    shown = await api.get(f"/api/events/{event}")
    by_message_id = await api.get(f"/api/events/evt_{event.hex}")

    assert [each["id"] for each in listed.json["events"]] == [str(event)]
    assert shown.json["data"] == {"n": 1}
    assert {each["webhookId"] for each in shown.json["deliveries"]} == {str(one), str(two)}
    assert by_message_id.json == shown.json


async def test_events_are_listed_newest_first_by_type_and_time(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    at = datetime(2025, 11, 25, 14, 30, tzinfo=UTC)
    types = ["email.opened", "email.clicked", "email.opened", "email.sent"]
    events = [
        await app.event(tenant, type=name, created_at=at + timedelta(minutes=n))
        for n, name in enumerate(types)
    ]

    async def found(**query: Any) -> list[UUID]:
        answer = await api.get("/api/events", **query)
        return [UUID(each["id"]) for each in answer.json["events"]]

    assert await found() == events[::-1]
    assert await found(type="email.opened") == [events[2], events[0]]
    assert await found(limit=2) == [events[3], events[2]]
    assert await found(before=events[2]) == [events[1], events[0]]
    assert await found(**{"from": "2025-11-25T14:31:00Z", "to": "2025-11-25T14:33:00Z"}) == [
        events[2],
        events[1],
    ]


async def test_the_13_event_types_and_the_operational_ones_are_listed_with_samples(
    api: ApiClient,
) -> None:
    types = (await api.get("/api/event-types")).json["eventTypes"]

    assert [(each["name"], each["operational"]) for each in types] == [
        *((each.name, False) for each in EVENT_TYPES),
        *((each.name, True) for each in OPERATIONAL_TYPES),
    ]
    assert all(set(each["fields"]) <= set(each["sample"]) for each in types)


async def test_the_attempts_of_one_event_are_listed_by_its_id(
    api: ApiClient, app: Application, receiver: Receiver
) -> None:
    webhook = UUID((await api.create_webhook(receiver.url))["id"])
    event = uuid4()
    at = datetime(2025, 1, 2, tzinfo=UTC)
    ids = [
        await insert_delivery(
            *(app, webhook),
            event_id=event,
            status="failed",
            attempt_number=number,
            attempted_at=at + timedelta(minutes=number),
            next_retry_at=None,
        )
        for number in (1, 2, 3)
    ]
    await insert_delivery(app, webhook, attempted_at=at)
    path = f"/api/webhooks/{webhook}/deliveries"

    listed = (await api.get(path, eventId=event)).json
    first = (await api.get(path, eventId=event, limit=2)).json
    rest = (await api.get(path, eventId=event, before=first["next"])).json
    exhausted = (await api.get(path, eventId=event, status="exhausted")).json

    assert [each["id"] for each in listed["deliveries"]] == [str(each) for each in ids[::-1]]
    assert listed["next"] is None
    assert [each["id"] for each in rest["deliveries"]] == [str(ids[0])]
    assert [each["id"] for each in exhausted["deliveries"]] == [str(ids[2])]
