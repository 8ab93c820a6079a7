"""The command line, called as a process: what it prints, where, and with what exit code."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from daemon import cli, embedded
from daemon.cli.verify import signature_problem
from daemon.core.wire import signing
from tests.support.application import SECRET, Application
from tests.support.commandline import Running, environment, running, webhookd
from tests.support.mailserver import mail_host
from tests.support.postgres import HASTE, roomy_folder
from tests.support.receiver import Receiver, Reply

COMMANDS = (
    "run", "demo", "migrate", "check", "trigger", "listen", "verify", "rotate-secret", "retry",
    "replay", "forget",
)  # fmt: skip
# A secret that no output may show, in whatever way the command is called.
CANARY = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnkh"
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
BODY = b'{"id":"evt_1","type":"email.opened","created_at":"2025-11-25T14:30:00Z","data":{}}'


def one_line(text: str) -> bool:
    return text.startswith("webhookd: ") and text.count("\n") == 1


# All of them


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["webhookd", name, "--help"])

    with pytest.raises(SystemExit) as end:
        cli.main()

    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert f"Usage: webhookd {name}" in out


async def test_the_help_names_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from daemon import cli; cli._register(); cli.app(standalone_mode=False);"
        "print({'aiohttp', 'asyncpg', 'uvloop', 'pydantic_settings'} & set(sys.modules))"
    )

    ended = await webhookd("--help", folder=tmp_path, python=("-c", program))

    assert ended.out.endswith("set()\n")
    assert all(re.search(rf"^│ {name} ", ended.out, re.MULTILINE) for name in COMMANDS)


async def test_the_version_is_one_line(tmp_path: Path) -> None:
    ended = await webhookd("--version", folder=tmp_path)

    assert ended.code == 0
    assert re.fullmatch(r"webhookd,? [^\n]+\n", ended.out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["migrat"], "Did you mean 'migrate'?"),
        (["listen", "--prot", "1"], "No such option: --prot"),
        (["listen", "--port", "70000"], "--port: "),
        (["listen", "--status", "99"], "--status: "),
        (["listen", "--status", "500", "--forward-to", "http://127.0.0.1"], "one of them only"),
        (["listen", "--forward-to", "localhost:3000"], "--forward-to: "),
        (["listen", "--secret", ""], "--secret: the secret is empty"),
        (["verify", "--secret", CANARY], "--signature"),
        (["verify", "--signature", "sha256=00"], "WEBHOOK_SECRET"),
        (["verify", CANARY, "--signature", "sha256=00"], "unexpected extra argument"),
        (["trigger"], "TYPE"),
        (["trigger", "email.opend"], "did you mean email.opened?"),
        (["trigger", "x.y"], "email.sent, email.delivered"),
        (["trigger", "x" * 101, "--data", "{}"], "1 to 100 characters"),
        (["trigger", "x.y", "--data", "{"], "--data: this is not JSON"),
        (["trigger", "x.y", "--data", "@missing.json"], "missing.json: No such file"),
        (["trigger", "email.sent", "--tenant", "7"], "--tenant: "),
        (["demo", "--seconds", "soon"], "--seconds: "),
        (["retry"], "either a delivery, or --webhook"),
        (["retry", ID, "--webhook", ID], "either a delivery, or --webhook"),
        (["retry", ID, "--from", "2h"], "go with --webhook alone"),
        (["retry", "--webhook", ID], "--from: is needed"),
        (["replay"], "one of --webhook, --status and --cancel"),
        (["replay", "--status", ID, "--cancel", ID], "one of --webhook, --status and --cancel"),
        (["replay", "--cancel", ID, "--dry-run"], "no other option of a replay"),
        (["replay", "--webhook", ID, "--from", "yesterday"], "--from: must be a time like"),
        (["replay", "--webhook", ID, "--from", "2025-11-20T14:00:00"], "--from: must be a time"),
        (["listen", "--delay", "soon"], "--delay: must be a duration"),
        (["replay", "--webhook", ID, "--from", "1h", "--to", "2h"], "must be before --to"),
        (["replay", "--webhook", ID, "--from", "2999-01-01"], "must be before --to"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_told_in_one_line_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["webhookd", *arguments])
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)

    with pytest.raises(SystemExit) as end:
        cli.main()

    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert one_line(err)
    assert said in err
    assert CANARY not in err


async def test_without_a_command_or_with_none_of_ours_the_exit_code_is_2(
    tmp_path: Path,
) -> None:
    nothing, unknown = await asyncio.gather(
        webhookd(folder=tmp_path), webhookd("lisen", folder=tmp_path)
    )

    assert (nothing.code, unknown.code) == (2, 2)
    assert "Usage: webhookd" in nothing.out
    assert one_line(unknown.err)


# verify


async def test_a_good_signature_is_valid(tmp_path: Path) -> None:
    ended = await webhookd(
        *("verify", "--secret", CANARY, "--signature", signing.sign(BODY, CANARY)),
        folder=tmp_path,
        stdin=BODY,
    )

    assert (ended.code, ended.out, ended.err) == (0, "valid\n", "")


@pytest.mark.parametrize(
    ("body", "signature", "said"),
    [
        (BODY, signing.sign(BODY, "another"), "not the signature of this body"),
        (BODY + b"\n", signing.sign(BODY, CANARY), "newline that was not sent"),
        (b"", signing.sign(BODY, CANARY), "the body on stdin is empty"),
        (BODY, signing.sign(BODY, CANARY)[7:], "sha256=<64"),
    ],
    ids=["another secret", "a newline more", "no body", "no prefix"],
)
def test_why_a_signature_is_invalid_is_said(body: bytes, signature: str, said: str) -> None:
    problem = signature_problem(body, signature, CANARY)

    assert said in (problem or "")


async def test_an_invalid_signature_exits_with_1(tmp_path: Path) -> None:
    ended = await webhookd(
        *("verify", "--signature", signing.sign(BODY, "another")),
        folder=tmp_path,
        env={"WEBHOOK_SECRET": CANARY},
        stdin=BODY,
    )

    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("INVALID: ")
    assert CANARY not in ended.out


# listen


def signed(body: bytes = BODY, secret: str = CANARY, *, age: int = 0) -> dict[str, str]:
    headers = signing.request_headers(
        body=body,
        message_id="evt_1",
        event_type="email.opened",
        delivery_id=uuid4(),
        timestamp=int(time.time()) - age,
        secret=secret,
    )
    return dict(headers)


async def url_of(listener: Running) -> str:
    line = await listener.line(lambda line: "listening on" in line, err=True)
    found = re.search(r"http://[^,]+", line)
    assert found is not None
    return found[0]


async def post(url: str, headers: dict[str, str], body: bytes | io.BytesIO = BODY) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        await answer.read()
        return answer.status


async def test_each_delivery_is_printed_with_its_verdict_and_no_secret(tmp_path: Path) -> None:
    stale = signed(age=600)
    unsigned = {"X-PenguinMails-Event": "email.opened"}
    async with running(
        "listen", "--port", "0", folder=tmp_path, env={"WEBHOOK_SECRET": CANARY}
    ) as listener:
        url = await url_of(listener)
        for headers in (signed(), signed(secret="another"), stale, unsigned):
            assert await post(f"{url}/hook", headers) == 200
        lines = await listener.lines(4)
        code = await listener.stop()

    assert code == 0
    assert "  valid  " in lines[0]
    assert all(part in lines[0] for part in ("email.opened", "evt_1", "→ 200"))
    assert "INVALID" in lines[1]
    assert "INVALID" in lines[2]
    assert "over 5 minutes old" in lines[2]
    assert "not signed" in lines[3]
    assert CANARY not in "".join(listener.out + listener.err)


async def test_for_programs_each_delivery_is_an_object_with_headers_and_body(
    tmp_path: Path,
) -> None:
    headers = signed()
    async with running("listen", "--port", "0", "--json", folder=tmp_path) as listener:
        await post(await url_of(listener) + "/a?b=c", headers)
        await post(await url_of(listener), headers, b"\xff")
        first, second = map(json.loads, await listener.lines(2))

    assert first["body"] == BODY.decode()
    assert first["path"] == "/a?b=c"
    assert first["deliveryId"] == headers["X-PenguinMails-Delivery-ID"]
    assert first["headers"]["x-penguinmails-signature"] == headers["X-PenguinMails-Signature"]
    assert first["signature"] == "not checked"
    assert second["bodyBase64"] == "/w=="


async def test_a_listener_plays_a_failing_endpoint_and_takes_only_post(tmp_path: Path) -> None:
    async with running("listen", "--port", "0", "--status", "503", folder=tmp_path) as listener:
        url = await url_of(listener)
        status = await post(url, signed())
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            got = answer.status

    assert (status, got) == (503, 405)


async def test_a_listener_plays_a_slow_endpoint_and_says_who_did_not_wait_for_it(
    tmp_path: Path,
) -> None:
    async with running("listen", "--port", "0", "--delay", "600ms", folder=tmp_path) as listener:
        url = await url_of(listener)
        began = time.monotonic()
        status = await post(url, signed())
        took = time.monotonic() - began
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(url, signed()), 0.2)
        patient, hasty = await listener.lines(2)
        code = await listener.stop()

    assert (status, code) == (200, 0)
    assert 0.6 <= took < 5
    assert "did not wait" not in patient
    assert "the sender did not wait for the answer" in hasty


async def test_a_slow_endpoint_that_is_stopped_answers_at_once(tmp_path: Path) -> None:
    async with running("listen", "--port", "0", "--delay", "1h", folder=tmp_path) as listener:
        asked = asyncio.create_task(post(await url_of(listener), signed()))
        await asyncio.sleep(0.3)
        code = await listener.stop()

        assert await asyncio.wait_for(asked, 5) == 200
    assert code == 0


async def test_what_a_stranger_sends_neither_fills_the_memory_nor_obeys_on_the_screen(
    tmp_path: Path,
) -> None:
    async with running("listen", "--port", "0", "--body", folder=tmp_path) as listener:
        url = await url_of(listener)
        too_large = await post(url, {}, io.BytesIO(b"x" * (2 * 1024 * 1024 + 1)))
        await post(url, {"X-PenguinMails-Event": "a\u009b2Jb"}, b'{"id": "\x1b[2J"}')
        lines = await listener.lines(3)

    assert too_large == 413
    assert "refused with 413" in lines[0]
    assert "\\x1b[2J" in lines[2]
    assert not re.search("[\x00-\x1f\x7f-\x9f]", "".join(lines))


async def test_a_delivery_is_passed_on_as_it_came_and_answered_as_the_application_does(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(status=418, body=b"short and stout")
    headers = signed()
    async with running(
        *("listen", "--port", "0", "--forward-to", f"{receiver.url}/app?k=v"), folder=tmp_path
    ) as listener:
        status = await post(await url_of(listener), headers)

    [passed_on] = receiver.received
    assert status == 418
    assert passed_on.path == "/app?k=v"
    assert passed_on.body == BODY
    assert headers.items() <= {n: passed_on.headers[n.lower()] for n in headers}.items()


async def test_an_application_that_cannot_be_reached_is_a_502_that_says_so(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = f"http://user:{CANARY}@127.0.0.1:{closed.getsockname()[1]}/app?token={CANARY}"
        async with running(
            "listen", "--port", "0", "--forward-to", target, folder=tmp_path
        ) as listener:
            status = await post(await url_of(listener), signed())
            [line] = await listener.lines(1)

    assert status == 502
    assert "/app cannot be reached" in line
    assert CANARY not in line


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = await webhookd("listen", "--port", str(port), folder=tmp_path)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"webhookd: cannot listen on 127.0.0.1:{port}: address already in use\n"


# trigger


async def test_an_event_is_published_as_the_application_does_and_those_who_want_it_are_counted(
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
    assert re.match(r"evt_[0-9a-f]{32}  email\.opened, wanted by 1 of .* 3 active", sample.out)
    told = json.loads(own.out)
    assert told | {"id": ""} == {
        "id": "",
        "type": "own.type",
        "tenantId": str(tenant),
        "wantedBy": 1,
        "activeWebhooks": 3,
    }
    rows = await app.db.fetch("SELECT id, event_type, event_data FROM webhook_events")
    assert {row["event_type"] for row in rows} == {"email.opened", "own.type"}
    assert told["id"] in {f"evt_{row['id'].hex}" for row in rows}


async def test_one_tenant_is_meant_but_of_several_one_must_be_named(
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


async def test_json_that_postgresql_cannot_store_is_told(
    tmp_path: Path, database: str, app: Application
) -> None:
    await app.tenant()

    ended = await webhookd(
        *("trigger", "x", "--data", r'"\u0000"'), folder=tmp_path, env={"DATABASE_URL": database}
    )

    assert ended.code == 2
    assert "--data: PostgreSQL cannot store it" in ended.err
    assert one_line(ended.err)


async def test_an_event_goes_the_whole_way_from_trigger_to_listen(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    env = {
        "DATABASE_URL": database,
        "WEBHOOKD_EGRESS__ALLOW_HTTP": "true",
        "WEBHOOKD_EGRESS__ALLOW_NETWORKS": "127.0.0.1/32",
        "WEBHOOKD_EGRESS__ALLOW_PORTS": "1024-65535",
        "WEBHOOKD_ADMIN__PORT": "0",
    }
    listening = running(
        "listen", "--port", "0", "--json", folder=tmp_path, env={"WEBHOOK_SECRET": SECRET}
    )
    async with listening as listener, running("run", folder=tmp_path, env=env) as daemon:
        await app.webhook(tenant, await url_of(listener) + "/hook")
        await daemon.line(lambda line: "service.started" in line, err=True)
        triggered = await webhookd("trigger", "email.clicked", folder=tmp_path, env=env)
        delivery = json.loads((await listener.lines(1))[0])
        event = json.loads(delivery["body"])
        verified = await webhookd(
            *("verify", "--signature", delivery["headers"]["x-penguinmails-signature"]),
            folder=tmp_path,
            env={"WEBHOOK_SECRET": SECRET},
            stdin=delivery["body"].encode(),
        )
        code = await daemon.stop(signal.SIGTERM)

    assert triggered.out.split()[0] == event["id"] == delivery["eventId"]
    assert (delivery["type"], delivery["signature"]) == ("email.clicked", "valid")
    assert (delivery["penguinMails"], delivery["standardWebhooks"]) == ("valid", "valid")
    assert (verified.code, code) == (0, 0)
    assert SECRET not in "".join(listener.out + daemon.out + daemon.err)


# run


@pytest.mark.parametrize(
    ("tokens", "told"), [('["' + "t" * 20 + '"]', "on"), ("[]", "off: admin.tokens is empty")]
)
async def test_a_daemon_says_at_its_start_whether_it_serves_the_api(
    tmp_path: Path, database: str, tokens: str, told: str
) -> None:
    env = {
        "DATABASE_URL": database,
        "WEBHOOKD_ADMIN__PORT": "0",
        "WEBHOOKD_ADMIN__TOKENS": tokens,
    }
    async with running("run", folder=tmp_path, env=env) as daemon:
        line = await daemon.line(lambda line: "service.started" in line, err=True)

    assert json.loads(line)["api"] == told


# check


async def checked(folder: Path, database: str, **env: str) -> tuple[int, dict[str, list[str]]]:
    """The exit code, and for each status what was said."""
    ended = await webhookd("check", "--json", folder=folder, env={"DATABASE_URL": database, **env})
    assert ended.err == ""
    report = json.loads(ended.out)
    assert report["ok"] == (ended.code == 0)
    said: dict[str, list[str]] = {"good": [], "remark": [], "wrong": []}
    for check in report["checks"]:
        said[check["status"]].append(f"{check['check']}: {check['message']}")
    return ended.code, said


async def test_what_is_in_order_is_said_to_be(
    tmp_path: Path, database: str, app: Application
) -> None:
    await app.webhook(await app.tenant(), "https://example.com/hook")
    (tmp_path / "config.toml").write_text('[retention]\nevents = "7d"\n')

    code, said = await checked(tmp_path, database)
    shown = await webhookd("check", folder=tmp_path, env={"DATABASE_URL": database})

    assert (code, said["wrong"]) == (0, [])
    subjects = [line.split(":")[0] for line in said["good"]]
    assert subjects == ["configuration", "database", "schema", "permissions", "webhooks"]
    assert "config.toml" in said["good"][0]
    assert shown.code == 0
    assert shown.out.startswith("✓ configuration  config.toml\n")
    assert "Nothing is wrong." in shown.out


async def test_the_version_of_postgresql_is_told_as_it_tells_it_itself(
    tmp_path: Path, database: str, app: Application
) -> None:
    version = (await app.db.fetchval("SHOW server_version")).split()[0]

    _, said = await checked(tmp_path, database)

    assert f"database: PostgreSQL {version}, " in "\n".join(said["good"])


async def test_without_a_master_key_nothing_is_said_to_be_under_the_newest(
    tmp_path: Path, database: str, app: Application
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com/hook")
    await app.db.execute(
        "UPDATE webhooks SET secret_key = 'sealed:0', sealed_with = 'cafe' WHERE id = $1", webhook
    )

    _, said = await checked(tmp_path, database)
    _, keyed = await checked(tmp_path, database, WEBHOOKD_SECURITY__MASTER_KEYS="k" * 32)

    assert (
        "secrets: those of 1 webhooks are sealed, and no security.master_keys are set"
        in (said["wrong"])
    )
    assert not any("newest" in line for line in said["good"])
    assert any("newest" in line for line in keyed["good"])
    assert any("cannot be opened with security.master_keys" in line for line in keyed["wrong"])


async def test_active_webhooks_that_take_no_event_of_ours_are_remarked_on_a_few_by_name(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    slips = [
        await app.webhook(tenant, "https://example.com/a", types=["email.openned", "x" * 5000])
        for _ in range(12)
    ]
    others = [
        await app.webhook(tenant, "https://example.com/b", types=types)
        for types in (None, [], ["*"], ["contact.*"], ["nothing", "email.sent"])
    ]
    [paused] = [await app.webhook(tenant, "https://example.com/c", types=["emial.sent"])]
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)

    code, said = await checked(tmp_path, database)

    named = [line for line in said["remark"] if "none of the 13 event types" in line]
    assert code == 0
    assert len([line for line in named if any(str(each) in line for each in slips)]) == 10
    assert not any(str(each) in line for each in [*others, paused] for line in named)
    assert "email.openned; did you mean email.opened?" in named[0]
    assert len(max(named, key=len)) < 400
    assert named[-1] == "webhooks: 2 more take none of the 13 event types"


async def test_each_webhook_that_cannot_be_delivered_to_is_named_without_its_secrets(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    plain = await app.webhook(tenant, f"http://example.com/hook?token={CANARY}")
    private = await app.webhook(tenant, "https://10.0.0.1/x", secret="not-base64")
    mute = await app.webhook(tenant, "https://example.com", secret="")
    odd = await app.webhook(tenant, "https://example.com", filters={"colour": "red"})
    paused = await app.webhook(tenant, f"https://user:{CANARY}@example.com/")
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)

    code, said = await checked(tmp_path, database)

    def about(webhook_id: Any, mark: str) -> str:
        lines = [line for line in said[mark] if str(webhook_id) in line]
        assert all(str(tenant) in line for line in lines)
        return "\n".join(lines)

    assert code == 1
    assert "http://example.com/hook: the URL must begin with https://" in about(plain, "wrong")
    assert "not public" in about(private, "wrong")
    assert "no Standard Webhooks headers" in about(private, "remark")
    assert "no secret" in about(mute, "wrong")
    assert 'no filter "colour"' in about(odd, "wrong")
    assert "user name or password" in about(paused, "remark")
    assert "4 active, 1 paused; 4 cannot be delivered to" in said["wrong"][-1]
    assert CANARY not in str(said)


async def test_a_mail_server_is_greeted_and_given_no_mail(tmp_path: Path, database: str) -> None:
    settings = {"WEBHOOKD_NOTIFICATIONS__FROM": "hooks@example.com"}
    with mail_host(login=True) as host:
        url = f"smtp://hooks%40example.com:p%2Fw@127.0.0.1:{host.port}"
        wrong = url.replace("p%2Fw", CANARY)
        good = await checked(tmp_path, database, **settings, WEBHOOKD_NOTIFICATIONS__SMTP_URL=url)
        bad = await checked(tmp_path, database, **settings, WEBHOOKD_NOTIFICATIONS__SMTP_URL=wrong)

    assert good[0] == 0
    assert f"mail: smtp://127.0.0.1:{host.port} lets us in" in good[1]["good"]
    assert any("notifications.to names nobody" in line for line in good[1]["remark"])
    assert bad[0] == 1
    assert bad[1]["wrong"] == [f"mail: smtp://127.0.0.1:{host.port} refuses the login (535)"]
    assert CANARY not in str(bad)
    assert host.mails == []


async def test_ten_thousand_webhooks_are_checked_in_a_moment(
    tmp_path: Path, database: str, app: Application
) -> None:
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, event_types)"
        " SELECT $1, 'one of many', 'https://example.com/' || n, 'whsec_YWJj', '{no.such.type}'"
        " FROM generate_series(1, 10000) AS n",
        await app.tenant(),
    )

    began = time.monotonic()
    code, said = await checked(tmp_path, database)
    took = time.monotonic() - began

    assert code == 0
    assert "10000 active" in said["good"][-1]
    assert took < 10  # about one second on a slow machine


async def test_what_the_daemons_role_may_not_do_is_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    role = f"lowly_{uuid4().hex[:8]}"
    name = database.rpartition("/")[2]
    await app.db.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    await app.db.execute(f"GRANT SELECT ON webhooks, webhookd_migrations TO {role}")
    await app.db.execute("ALTER TABLE webhook_events DISABLE TRIGGER USER")
    try:
        url = re.sub("//[^@]*@", f"//{role}:x@", database)
        code, said = await checked(tmp_path, url)
        _, with_api = await checked(tmp_path, url, WEBHOOKD_ADMIN__TOKENS=f'["{"t" * 20}"]')
    finally:
        await app.db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert code == 1
    assert f"permissions: role {role} lacks UPDATE on webhooks" in said["wrong"]
    assert f"permissions: role {role} lacks INSERT on webhook_deliveries" in said["wrong"]
    assert any("trigger webhook_events_arrived" in line for line in said["wrong"])
    assert not any("SELECT on webhooks" in line for line in said["wrong"])
    assert set(with_api["wrong"]) - set(said["wrong"]) == {
        f"permissions: role {role} lacks {privilege} on webhooks"
        for privilege in ("INSERT", "DELETE")
    }
    assert name in said["good"][1]


async def test_a_database_that_lacks_the_schema_or_is_not_there_is_wrong(
    tmp_path: Path, empty_database: str
) -> None:
    behind = await checked(tmp_path, empty_database)
    absent = await checked(tmp_path, f"postgresql://me:{CANARY}@127.0.0.1:1/nowhere")

    assert (behind[0], absent[0]) == (1, 1)
    assert "schema: the database's schema lacks 0001_webhooks" in behind[1]["wrong"][0]
    assert "postgresql://127.0.0.1:1/nowhere" in absent[1]["wrong"][0]
    assert CANARY not in str(absent)


async def test_every_mistake_of_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[delivery]\ntimeout = "1"\npause_after = "many"\n')

    ended = await webhookd("check", folder=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["config.toml:2:", "config.toml:3:"]


# The embedded PostgreSQL of a daemon that runs


@pytest.fixture
def folder() -> Iterator[Path]:
    with roomy_folder() as room:
        yield room


def at_home(data: Path) -> tuple[str, str]:
    """Python's arguments for a `webhookd` whose embedded PostgreSQL lies in `data`."""
    program = (
        "import pathlib; from daemon import cli, embedded;"
        f"embedded.default_data_dir = lambda: pathlib.Path({str(data)!r}); cli.main()"
    )
    return "-c", program


async def test_commands_find_the_embedded_postgresql_of_a_daemon_that_runs(
    folder: Path, tmp_path: Path
) -> None:
    data = folder / "postgres"
    before = embedded.running(data)
    server = await embedded.start(data, settings=HASTE)
    during = embedded.running(data)
    migrated = await webhookd("migrate", folder=tmp_path, python=at_home(data))
    connection = await asyncpg.connect(during)
    await connection.execute("INSERT INTO tenants DEFAULT VALUES")
    triggered = await webhookd("trigger", "email.sent", folder=tmp_path, python=at_home(data))
    stored = await connection.fetchval("SELECT count(*) FROM webhook_events")
    await connection.close()
    stale = (data / "cluster" / "postmaster.pid").read_text()
    await server.stop()
    (data / "cluster" / "postmaster.pid").write_text(stale)

    assert (before, during, embedded.running(data)) == (None, server.url, None)
    assert (migrated.code, triggered.code, stored) == (0, 0, 1)
    assert f"the embedded PostgreSQL in {data}, which is running" in triggered.err


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_a_daemon_whose_embedded_postgresql_ends_says_so_and_ends(
    folder: Path, tmp_path: Path, how: signal.Signals
) -> None:
    data = folder / "postgres"
    env = {"WEBHOOKD_ADMIN__PORT": "0"}
    async with running("run", folder=tmp_path, env=env, python=at_home(data)) as daemon:
        await daemon.line(lambda line: "service.started" in line, err=True)

        os.kill(int((data / "cluster" / "postmaster.pid").read_text().split()[0]), how)
        code = await daemon.wait()

    assert code == 1
    assert daemon.err[-1] == "webhookd: the embedded PostgreSQL has ended"
    assert sum("embedded.ended" in line for line in daemon.err) == 1
    assert any("service.stopped" in line for line in daemon.err)


async def test_a_daemon_that_is_stopped_with_its_embedded_postgresql_ends_well(
    folder: Path, tmp_path: Path
) -> None:
    data = folder / "postgres"
    env = {"WEBHOOKD_ADMIN__PORT": "0"}
    async with running("run", folder=tmp_path, env=env, python=at_home(data)) as daemon:
        await daemon.line(lambda line: "service.started" in line, err=True)
        postmaster = int((data / "cluster" / "postmaster.pid").read_text().split()[0])

        daemon.process.send_signal(signal.SIGTERM)
        os.kill(postmaster, signal.SIGTERM)  # as systemd, which tells every process of a unit
        code = await daemon.wait()

    assert code == 0
    assert not any("embedded.ended" in line for line in daemon.err)


async def test_an_embedded_database_that_has_no_tenant_gets_one_that_later_events_share(
    folder: Path, tmp_path: Path
) -> None:
    home = at_home(folder / "postgres")

    first = await webhookd("trigger", "email.sent", "--json", folder=tmp_path, python=home)
    second = await webhookd("trigger", "email.sent", "--json", folder=tmp_path, python=home)

    assert (first.code, second.code) == (0, 0)
    tenant = json.loads(first.out)["tenantId"]
    assert f"webhookd: there was no tenant yet: made {tenant}\n" in first.err
    assert json.loads(second.out)["tenantId"] == tenant
    assert "no tenant" not in second.err


def test_the_environment_of_these_tests_holds_nothing_of_the_callers() -> None:
    assert environment().keys() <= {"PATH", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONUNBUFFERED"}
