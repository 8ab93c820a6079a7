"""`webhookd explain`, `list` and `show`, run as processes."""

import asyncio
import json
import os
import pty
import termios
from pathlib import Path
from uuid import uuid4

from tests.support.application import Application
from tests.support.commandline import MODULE, CompletedCommand, environment, webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.failing import set_failing
from tests.support.forked_process import start
from tests.support.receiver import Receiver


async def test_an_event_is_explained_at_each_webhook_or_at_one(
    tmp_path: Path, database: str, app: Application, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    good = await app.webhook(tenant, receiver.url)
    other = await app.webhook(tenant, receiver.url, types=["contact.*"])
    deleted = await app.webhook(tenant, receiver.url, types=["contact.*"])
    await app.webhook(await app.tenant(), receiver.url)
    async with serving(database):
        event = await app.event(tenant)
        await until(lambda: settled(app, good, "success", 1))
    await app.db.execute("DELETE FROM webhooks WHERE id = $1", deleted)

    async def explained(*arguments: object) -> CompletedCommand:
        env = {"DATABASE_URL": database}
        return await webhookd("explain", *map(str, arguments), folder=tmp_path, env=env)

    [delivery] = await app.deliveries(good)
    by_delivery, elsewhere = await asyncio.gather(
        explained(delivery["id"], "--json"), explained(delivery["id"], other)
    )
    text, one, every = await asyncio.gather(
        explained(f"evt_{event.hex}"),
        explained(event, good, "--json"),
        explained(event, "--json"),
    )
    theirs, odd, nowhere = await asyncio.gather(
        explained(event, "--tenant", uuid4()),
        explained("evt_test_x"),
        explained(event, uuid4()),
    )

    lines = text.out.splitlines()
    assert text.code == 0
    assert lines[0].startswith(f"evt_{event.hex}  email.opened, received 20")
    by_id = {line.split()[0]: line for line in lines[1:]}
    assert set(by_id) == {str(good), str(other), str(deleted)}
    assert "  delivered       It was delivered at 20" in by_id[str(good)]
    assert "  not_subscribed  The webhook had not subscribed" in by_id[str(other)]
    assert "(deleted)" in by_id[str(deleted)]
    assert json.loads(one.out)["outcome"] == "delivered"
    assert json.loads(by_delivery.out) == [json.loads(one.out)]
    assert elsewhere.code == 1
    assert len(json.loads(every.out)) == 3
    assert theirs == CompletedCommand(1, "", f"webhookd: there is no event evt_{event.hex}\n")
    assert (odd.code, nowhere.code) == (2, 1)
    assert "there is no webhook" in nowhere.err


async def test_webhooks_are_listed_by_tenant_and_by_state(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    active, failing, paused = [
        await app.webhook(tenant, "https://u:secret@a.example/x?token=secret") for _ in range(3)
    ]
    other = await app.webhook(await app.tenant(), "https://b.example")
    await set_failing(app, failing, failures=7)
    await app.db.execute(
        "UPDATE webhooks SET is_active = false, paused_reason = 'gone', name = E'a\\x1b[2Jb',"
        " notification_email = 'Ops@b.example'"
        " WHERE id = $1",
        paused,
    )

    async def listed(*arguments: object) -> CompletedCommand:
        env = {"DATABASE_URL": database}
        return await webhookd("list", *map(str, arguments), folder=tmp_path, env=env)

    everything, ours, as_json = await asyncio.gather(
        listed(),
        listed("--tenant", tenant, "--state", "failing"),
        listed("--tenant", tenant, "--json"),
    )
    mistyped, none = await asyncio.gather(listed("--state", "broken"), listed("--tenant", uuid4()))
    by_url, by_mail = await asyncio.gather(
        listed("--search", "B.exam"), listed("--search", "OPS@b.example", "--state", "paused")
    )

    assert [line.split()[0] for line in by_url.out.splitlines()] == ["ID", str(other)]
    assert [line.split()[0] for line in by_mail.out.splitlines()] == ["ID", str(paused)]
    rows = {line.split()[0]: line for line in everything.out.splitlines()}
    assert set(rows) == {"ID", *map(str, (active, failing, paused, other))}
    assert "paused (gone)" in rows[str(paused)]
    assert "\x1b" not in everything.out
    assert [line.split()[0] for line in ours.out.splitlines()] == ["ID", str(failing)]
    members = {each["id"]: each for each in json.loads(as_json.out)}
    assert [members[str(each)]["state"] for each in (active, failing, paused)] == [
        *("active", "failing", "paused"),
    ]
    assert members[str(failing)]["consecutiveFailures"] == 7
    assert "secret" not in everything.out + as_json.out
    assert (mistyped.code, none.out) == (2, "no webhook was found\n")


async def test_a_terminal_gets_lines_that_fit_it(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://a.example")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))

    process = await start(
        *(*MODULE, "list"),
        cwd=tmp_path,
        env=environment({"DATABASE_URL": database}),
        stdout=theirs,
    )
    code = await process.wait()

    os.close(theirs)
    lines = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert code == 0
    assert [line.split()[:2] for line in lines] == [
        *(["ID", "TENANT"], ["STATE", "FAILURES"]),
        *([str(webhook), str(tenant)], ["active", "0"]),
    ]
    assert max(map(len, lines)) <= 80


async def test_a_webhook_an_event_and_a_delivery_are_shown_as_by_the_api(
    tmp_path: Path, database: str, app: Application, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        event = await app.event(tenant, {"n": 1})
        await until(lambda: settled(app, webhook, "success", 1))
    [delivery] = await app.deliveries(webhook)

    async def shown(*arguments: object) -> CompletedCommand:
        env = {"DATABASE_URL": database}
        return await webhookd("show", *map(str, arguments), folder=tmp_path, env=env)

    as_json = await asyncio.gather(
        shown(webhook, "--json"), shown(event, "--json"), shown(delivery["id"], "--json")
    )
    as_text, theirs, unknown = await asyncio.gather(
        shown(f"evt_{event.hex}"), shown(webhook, "--tenant", uuid4()), shown(uuid4())
    )

    of_webhook, of_event, of_delivery = [json.loads(each.out) for each in as_json]
    assert of_webhook["state"] == "active"
    assert "secretKey" not in of_webhook
    assert of_event["data"] == {"n": 1}
    assert [each["id"] for each in of_event["deliveries"]] == [str(delivery["id"])]
    assert of_delivery["request"]["body"]
    assert str(delivery["id"]) in as_text.out
    assert "data " in as_text.out
    assert (theirs.code, unknown.code) == (1, 1)
    assert "there is no webhook, event or delivery" in unknown.err
