"""`webhookd hold` and `webhookd release`, run as processes."""

import asyncio
import getpass
import json
from pathlib import Path
from uuid import UUID, uuid4

from tests.support.application import Application
from tests.support.commandline import CompletedCommand, one_line, webhookd


async def test_commands_hold_and_release_and_are_recorded_with_the_reason(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    tenant = await app.db.fetchval("SELECT tenant_id FROM webhooks")

    async def run(*arguments: str) -> str:
        done = await webhookd(*arguments, folder=tmp_path, env={"DATABASE_URL": database})
        assert (done.code, done.err) == (0, ""), done
        return done.out

    everything = await run("hold", "--reason", "an incident")
    both = json.loads(await run("hold", "--tenant", str(tenant), "--json"))
    left = await run("release", "--reason", "over")
    nothing = await run("release", "--tenant", str(tenant))

    user = getpass.getuser()
    assert everything.startswith("held: everything, since 20")
    assert everything.endswith(f"Z, by {user}: an incident\n")
    assert [each["tenantId"] for each in both] == [None, str(tenant)]
    assert left.startswith(f"held: tenant {tenant}, since ")
    assert nothing == "Nothing is held.\n"
    records = await app.db.fetch("SELECT * FROM webhook_audit ORDER BY at")
    assert [(each["action"], each["tenant_id"], each["reason"]) for each in records] == [
        ("holdDeliveries", None, "an incident"),
        ("holdDeliveries", tenant, None),
        ("releaseDeliveries", None, "over"),
        ("releaseDeliveries", tenant, None),
    ]
    assert {(each["actor"], each["object_type"]) for each in records} == {(user, "tenant")}


async def test_an_unknown_tenant_or_an_empty_reason_holds_nothing(
    tmp_path: Path, database: str, app: Application
) -> None:
    env, unknown = {"DATABASE_URL": database}, str(uuid4())

    absent, empty = await asyncio.gather(
        webhookd("hold", "--tenant", unknown, folder=tmp_path, env=env),
        webhookd("hold", "--reason", " ", folder=tmp_path, env=env),
    )

    assert absent == CompletedCommand(2, "", f"webhookd: --tenant: there is no tenant {unknown}\n")
    assert (empty.code, one_line(empty.err)) == (2, True)
    assert await app.db.fetchval("SELECT count(*) FROM webhook_holds") == 0
