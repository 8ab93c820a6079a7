"""`webhookd capacity`, run as a process."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.core.policy.webhook_limits import WebhookLimits
from daemon.store import capacity
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.commandline import CompletedCommand, webhookd


async def test_each_limit_is_shown_with_what_is_used_of_it(
    tmp_path: Path, database: str, app: Application
) -> None:
    crowded, other = await app.tenant(), await app.tenant()
    for number in range(3):
        await app.webhook(crowded, f"https://A.example/{number}")
    await app.webhook(crowded, "https://b.example")
    await app.webhook(other, "https://a.example")
    await app.events(crowded, 7)

    async def shown(*arguments: str, **env: str) -> CompletedCommand:
        env = {"DATABASE_URL": database} | env
        return await webhookd("capacity", *arguments, folder=tmp_path, env=env)

    text, as_json, unlimited = await asyncio.gather(
        shown(),
        shown("--json", WEBHOOKD_LIMITS__WEBHOOKS_PER_TENANT="8"),
        shown("--json", WEBHOOKD_LIMITS__WEBHOOKS_PER_TENANT="0"),
    )

    usages = {each["name"]: each for each in json.loads(as_json.out)}
    of_tenant, at_host = usages["webhooks of a tenant"], usages["webhooks at one host"]
    assert (text.code, as_json.code, text.err) == (0, 0, "")
    assert (of_tenant["used"], of_tenant["limit"]) == (4, 8)
    assert str(crowded) in of_tenant["note"]
    assert (at_host["used"], at_host["limit"]) == (3, 50)
    assert "a.example" in at_host["note"]
    assert usages["events in the inbox"]["used"] == 7
    assert 0 < usages["connections of the server"]["used"] <= 100
    assert usages["database on disk"]["used"] > 1_000_000
    [first] = [line for line in text.out.splitlines() if line.startswith("webhooks of a tenant")]
    assert first.split()[4:8] == ["4", "500", "1", "%"]
    no_limit = {each["name"]: each["limit"] for each in json.loads(unlimited.out)}
    assert no_limit["webhooks of a tenant"] is None


async def test_an_empty_installation_has_its_limits(tmp_path: Path, database: str) -> None:
    done = await webhookd("capacity", folder=tmp_path, env={"DATABASE_URL": database})

    assert done.code == 0
    assert "webhooks of a tenant" in done.out


async def test_no_more_webhooks_are_looked_at_than_can_be_in_a_moment(
    database: str, app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "MOST_WEBHOOKS", 3)
    tenant = await app.tenant()
    for number in range(5):
        await app.webhook(tenant, f"https://a.example/{number}")
    opened = Database(database, size=1)
    await opened.open()

    async with opened.connection() as db:
        found = await capacity.usages(db, WebhookLimits(), connections_of_daemon=1)
    await opened.close(within=timedelta(seconds=1))

    counted = [each for each in found if each.name.startswith("webhooks")]
    assert [each.used for each in counted] == [3, 3]
    assert all("of 3 webhooks" in (each.note or "") for each in counted)
