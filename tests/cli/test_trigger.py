"""`webhookd trigger`: one event, published as the application publishes it."""

import asyncio
import json
import re
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.application import Application
from tests.support.commandline import one_line, webhookd, with_data_in


async def test_an_event_is_published_and_the_matching_webhooks_are_counted(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    await app.webhook(tenant, "https://a.example", types=["email.*"])
    await app.webhook(tenant, "https://b.example", types=["contact.created"])
    await app.webhook(tenant, "https://c.example", filters={"filters": {"a": 2}})

    sample, own = await asyncio.gather(
        webhookd("trigger", "email.opened", folder=tmp_path, env={"DATABASE_URL": database}),
        webhookd(
            *("trigger", "own.type", "--data", "-", "--json", "--tenant", str(tenant)),
            folder=tmp_path,
            env={"DATABASE_URL": database},
            stdin=b'{"a": 2}',
        ),
    )

    assert (sample.code, own.code) == (0, 0)
    assert re.match(r"evt_[0-9a-f]{32}  email\.opened, matches 1 of .* 3 active", sample.out)
    report = json.loads(own.out)
    assert report | {"id": ""} == {
        "id": "",
        "type": "own.type",
        "tenantId": str(tenant),
        "wantedBy": 1,
        "activeWebhooks": 3,
    }
    rows = await app.db.fetch("SELECT id, event_type, event_data FROM webhook_events")
    assert {row["event_type"] for row in rows} == {"email.opened", "own.type"}
    assert report["id"] in {f"evt_{row['id'].hex}" for row in rows}


@pytest.mark.full
async def test_the_only_tenant_is_taken_but_one_of_several_must_be_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    first = await webhookd("trigger", "email.sent", folder=tmp_path, env={"DATABASE_URL": database})
    tenants = [str(await app.tenant()) for _ in range(12)]
    second = await webhookd(
        "trigger", "email.sent", folder=tmp_path, env={"DATABASE_URL": database}
    )
    unknown = await webhookd(
        *("trigger", "email.sent", "--tenant", str(uuid4())),
        folder=tmp_path,
        env={"DATABASE_URL": database},
    )

    assert (first.code, second.code, unknown.code) == (1, 2, 2)
    assert "no tenant yet" in first.err
    assert sum(tenant in second.err for tenant in tenants) == 10
    assert "--tenant: there is no tenant" in unknown.err


async def test_json_that_postgresql_cannot_store_is_a_usage_error(
    tmp_path: Path, database: str, app: Application
) -> None:
    await app.tenant()

    ended = await webhookd(
        *("trigger", "x", "--data", r'"\u0000"'), folder=tmp_path, env={"DATABASE_URL": database}
    )

    assert ended.code == 2
    assert "--data: PostgreSQL cannot store it" in ended.err
    assert one_line(ended.err)


async def test_an_embedded_database_without_a_tenant_gets_one_that_later_events_share(
    embedded_data: Path, tmp_path: Path
) -> None:
    program = with_data_in(embedded_data)

    first = await webhookd("trigger", "email.sent", "--json", folder=tmp_path, python=program)
    second = await webhookd("trigger", "email.sent", "--json", folder=tmp_path, python=program)

    assert (first.code, second.code) == (0, 0)
    tenant = json.loads(first.out)["tenantId"]
    assert f"webhookd: there was no tenant yet: created {tenant}\n" in first.err
    assert json.loads(second.out)["tenantId"] == tenant
    assert "no tenant" not in second.err
