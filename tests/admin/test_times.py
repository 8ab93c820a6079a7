"""Times print alike on the wire, in the API and on the command line: RFC 3339 in UTC."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from daemon.core.wire.timestamps import rfc3339
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.commandline import webhookd
from tests.support.daemons import until
from tests.support.receiver import Receiver

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z")


@pytest.mark.parametrize(
    ("moment", "printed"),
    [
        (datetime(2025, 11, 25, 14, 30, tzinfo=UTC), "2025-11-25T14:30:00Z"),
        (datetime(2025, 11, 25, 14, 30, 0, 500_000, tzinfo=UTC), "2025-11-25T14:30:00.5Z"),
        (datetime(1, 1, 1, 0, 0, 10, 10, tzinfo=UTC), "0001-01-01T00:00:10.00001Z"),
        (
            datetime(2025, 11, 25, 1, tzinfo=timezone(timedelta(hours=2))),
            "2025-11-24T23:00:00Z",
        ),
    ],
)
def test_a_time_is_printed_in_utc_with_a_fraction_only_if_there_is_one(
    moment: datetime, printed: str
) -> None:
    assert rfc3339(moment) == printed


@pytest.mark.parametrize("fraction", ["", ".5", ".000001"])
async def test_a_receiver_the_api_and_a_command_show_the_same_time(
    app: Application, database: str, receiver: Receiver, tmp_path: Path, fraction: str
) -> None:
    at = f"2025-11-25T14:30:00{fraction}Z"
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    event = await app.event(tenant, created_at=datetime.fromisoformat(at))
    async with serving_api(database, tenant) as api:
        await until(lambda: receiver.received)
        shown = (await api.get(f"/api/events/{event}")).json
        rotated = await webhookd(
            *("rotate-secret", str(webhook), "--json"),
            folder=tmp_path,
            env={"DATABASE_URL": database},
        )
        until_at = (await api.get(f"/api/webhooks/{webhook}")).json["previousSecretExpiresAt"]

    assert receiver.received[0].event["created_at"] == shown["createdAt"] == at
    assert json.loads(rotated.out)["previousSecretExpiresAt"] == until_at
    assert RFC_3339.fullmatch(until_at)
