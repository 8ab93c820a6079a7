"""The erasure's queries read only the rows that they need."""

from uuid import UUID

import pytest

from daemon.core.policy.contact_fields import CONTACT_JSON_PATHS
from daemon.store import erasure_deliveries, erasure_events
from daemon.store.erasure import NIL
from tests.support.aged_rows import OLD, many_deliveries, many_events, stored_delivery, stored_event
from tests.support.application import Application
from tests.support.postgres import most_rows_read


@pytest.mark.parametrize("at", [OLD, "NULL"])
async def test_a_page_reads_no_more_rows_than_its_limit(
    app: Application, tenant: UUID, webhook: UUID, at: str
) -> None:
    await many_deliveries(app, webhook, 3000, at=at)
    await many_events(app, tenant, 3000, at=at)
    page = ("-infinity", NIL, 100)

    deliveries = await most_rows_read(app.db, erasure_deliveries.FIND, webhook, *page)
    events = await most_rows_read(
        app.db, erasure_events.FIND, "cont_1", CONTACT_JSON_PATHS, tenant, *page
    )

    assert (deliveries, events) == (100, 100)


async def test_erasing_a_few_events_reads_no_other_rows(
    app: Application, tenant: UUID, webhook: UUID
) -> None:
    few = [await stored_event(app, tenant) for _ in range(20)]
    for event in few[:10]:
        await stored_delivery(app, webhook, event_id=event)
    await many_events(app, tenant, 3000)
    await many_deliveries(app, webhook, 3000)

    read = {
        "deliveries": await most_rows_read(
            app.db, erasure_events.ERASE_DELIVERIES, tenant, few, 1000
        ),
        "events": await most_rows_read(app.db, erasure_events.ERASE_EVENTS, tenant, few),
        "remaining": await most_rows_read(app.db, erasure_events.COUNT_REMAINING, tenant, few),
    }

    assert read == {"deliveries": 10, "events": 20, "remaining": 20}
