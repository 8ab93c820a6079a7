"""Erasure of one contact: which rows identify it, and which are kept."""

from uuid import UUID

import pytest

from daemon.core.model.erasure import ErasureCounts
from daemon.core.policy.contact_fields import CONTACT_FIELDS
from tests.support.aged_rows import (
    NOW,
    OLD,
    count_in,
    ids_in,
    many_deliveries,
    many_events,
    stored_delivery,
    stored_event,
)
from tests.support.application import Application
from tests.support.erasure import about, data_with, erased


async def test_a_contact_s_events_are_erased_with_their_inbox_entries_and_deliveries(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    first, second = about({"id": "cont_1"}), about({"id": "cont_2"})
    event = await stored_event(app, tenant, data=first, at=NOW)
    waiting = await stored_event(app, tenant, data=first, at=NOW, waiting=True)
    other = await stored_event(app, tenant, data=second, at=NOW, waiting=True)
    for status in ("failed", "success", "pending_retry"):
        await stored_delivery(app, webhook, event_id=event, payload=first, status=status)
    kept = await stored_delivery(app, webhook, event_id=other, payload=second)

    counts = await erased(database, tenant, "cont_1")

    assert counts == ErasureCounts(events=2, waiting=1, deliveries=3, pending=1)
    assert await ids_in(app, "webhook_events") == {other}
    assert await ids_in(app, "webhook_deliveries") == {kept}
    assert await app.db.fetchval("SELECT event_id FROM webhook_event_inbox") == other
    assert waiting not in await ids_in(app, "webhook_events")


@pytest.mark.parametrize("field", CONTACT_FIELDS)
async def test_a_contact_is_found_in_every_contact_field_and_nowhere_else(
    app: Application, database: str, tenant: UUID, field: str
) -> None:
    ours = (data_with(field, "cont_1"), data_with(field, ["cont_0", "cont_1"]))
    for data in ours:
        await stored_event(app, tenant, data=data)
    others = {
        await stored_event(app, tenant, data=data)
        for data in (
            data_with(field, "cont_10"),
            data_with(field, "CONT_1"),
            data_with(field, {"n": "cont_1"}),
            data_with(f"elsewhere.{field}", "cont_1"),
        )
    }

    await erased(database, tenant, "cont_1")

    assert await ids_in(app, "webhook_events") == others


async def test_an_address_matches_in_any_case_and_beside_a_display_name(
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
async def test_a_contact_with_a_hostile_id_is_erased_and_no_other(
    app: Application, database: str, tenant: UUID, webhook: UUID, contact: str
) -> None:
    await stored_event(app, tenant, data=about({"id": contact}))
    await stored_delivery(app, webhook, payload=about({"id": contact}))
    others = {
        await stored_event(app, tenant, data=about({"id": other}))
        for other in (*HOSTILE, contact + "x", "x" + contact, "", None)
        if other != contact
    }

    counts = await erased(database, tenant, contact)

    assert counts == ErasureCounts(events=1, deliveries=1)
    assert await ids_in(app, "webhook_events") == others


async def test_a_numeric_id_matches_as_it_is_written(
    app: Application, database: str, tenant: UUID
) -> None:
    await stored_event(app, tenant, data='{"contact_id": 42}')
    others = {await stored_event(app, tenant, data=f'{{"contact_id": {n}}}') for n in (420, 4.2)}

    await erased(database, tenant, "42")

    assert await ids_in(app, "webhook_events") == others


async def test_data_of_any_shape_can_be_searched(
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


async def test_deliveries_without_an_event_or_without_a_copy_of_the_data_are_erased(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event = await stored_event(app, tenant, data=about("cont_1"))
    await stored_delivery(app, webhook, payload=about("cont_1"))
    await stored_delivery(app, webhook, event_id=event, payload=None, response_body="cont_1")

    assert await erased(database, tenant, "cont_1") == ErasureCounts(events=1, deliveries=2)
    assert await count_in(app, "webhook_deliveries") == 0


async def test_rows_of_any_time_or_none_are_erased(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    times = ("NULL", "'infinity'", "'-infinity'", "'4000-01-01 BC'", NOW)
    for at in (*times, *times):
        await stored_event(app, tenant, data=about("cont_1"), at=at)
        await stored_delivery(app, webhook, payload=about("cont_1"), at=at)

    counts = await erased(database, tenant, "cont_1")

    assert counts == ErasureCounts(events=10, deliveries=10)


async def test_another_tenant_s_rows_are_kept_even_with_the_same_ids(
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

    counts = await erased(database, tenant, "cont_1")

    assert counts == ErasureCounts(events=3, deliveries=3)
    assert await count_in(app, "webhook_events") == 7000
    assert await count_in(app, "webhook_deliveries") == 5000
