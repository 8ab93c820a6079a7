"""No output contains a secret: every secret contains a canary, and everything fails."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import pytest

from daemon.secrets.encryption import Vault
from tests.support.application import Application
from tests.support.commandline import Running, environment, running, webhookd
from tests.support.daemons import free_port, until
from tests.support.hostile import (
    HTTP,
    closing_at_once,
    hostile,
    resetting,
    responding_once,
    responding_with,
)
from tests.support.receiver import Received, Receiver, Reply

CANARY = "c4n4ry"  # part of every secret, with a word for each
MASTER_KEY = f"{CANARY}-master-key-of-32-characters-or-more"
LOST_KEY = f"{CANARY}-lost-key-of-32-characters-or-more"
SECRET = f"whsec_{CANARY}secret"
HEADERS = {
    "Authorization": f"Bearer {CANARY}-bearer",
    "X-Key": f"{CANARY}-key",
    # someone:c4n4ry-basic
    "X-Basic": "Basic c29tZW9uZTpjNG40cnktYmFzaWM=",
}
QUERY = f"?token={CANARY}-query"


def settings(port: int) -> str:
    return f"""
[egress]
allow_http = true
allow_networks = ["127.0.0.0/8"]
allow_ports = ["1-65535"]
[delivery]
retry_schedule = ["100ms", "100ms"]
failing_after = 1
pause_after = 2
[admin]
port = {port}
tokens = ["{CANARY}-token-of-an-operator"]
[security]
master_keys = ["{MASTER_KEY}"]
[notifications]
smtp_url = "smtp://someone:{CANARY}-smtp@127.0.0.1:1"
from = "hooks@example.com"
to = "ops@example.com"
[log]
format = "json"
level = "debug"
"""


def echo_or_redirect(request: Received) -> Reply:
    """Echo the request's headers, or redirect to a URL with a secret of the receiver's own."""
    if request.path.startswith("/redirect"):
        return Reply(302, headers={"Location": f"https://example.com/login{QUERY}"})
    echo = " ".join(request.headers.values())
    headers = {"X-Echo": echo, "Set-Cookie": f"{CANARY}-cookie"}
    return Reply(500, headers=headers, body=echo.encode())


async def make_everything_fail(
    app: Application, receiver: Receiver, urls_of_hostile: list[str]
) -> UUID:
    """Create a tenant whose webhooks all fail, each in a different way."""
    tenant = await app.tenant()
    lost = await app.webhook(tenant, f"{receiver.url}/lost{QUERY}", secret=SECRET)
    sealed = Vault([LOST_KEY]).seal(SECRET, associated_data=f"{lost}/secret")
    await app.db.execute("UPDATE webhooks SET secret_key = $2 WHERE id = $1", lost, sealed)
    urls = [
        f"{receiver.url}/echo{QUERY}",
        f"{receiver.url}/redirect{QUERY}",
        f"http://someone:{CANARY}-user@127.0.0.1/{QUERY}",
        f"http://10.0.0.1/{QUERY}",
        f"http://10.0.0.1/<'x>{QUERY}",
        f"http://127.0.0.1:{free_port()}/{QUERY}",
        *(url + QUERY for url in urls_of_hostile),
        urls_of_hostile[0].replace("http:", "https:") + QUERY,
    ]
    for url in urls:
        webhook = await app.webhook(tenant, url, secret=SECRET)
        await app.db.execute(
            "UPDATE webhooks SET custom_headers = $2 WHERE id = $1", webhook, json.dumps(HEADERS)
        )
    await app.db.execute(
        "UPDATE webhooks SET custom_headers = $2 WHERE id = $1",
        await app.webhook(tenant, receiver.url, secret=SECRET),
        json.dumps({"X-Key": f"{CANARY}\n"}),
    )
    await app.db.execute(
        "UPDATE webhooks SET client_certificate = $2, client_key = $3 WHERE id = $1",
        await app.webhook(tenant, f"https://127.0.0.1:1/{QUERY}", secret=SECRET),
        *("a certificate", f"{CANARY}-client-key"),
    )
    await app.webhook(tenant, receiver.url, secret=SECRET, filters={"filters": f"{CANARY}-filter"})
    return tenant


async def served_pages(port: int) -> str:
    """Return all pages that the daemon serves without a token."""
    text = ""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        for path in ("/healthz", "/readyz", "/metrics", f"/nothing{QUERY}"):
            async with client.get(path, headers=HEADERS) as answer:
                text += await answer.text()
    return text


async def shown_to_customers(app: Application) -> str:
    """Return the columns that customers see, except for the secrets and events that they wrote."""
    queries = (
        "SELECT error_message, response_body, response_headers->>'x-echo' FROM webhook_deliveries",
        "SELECT kind, data::text, last_error FROM webhook_notices",
        "SELECT filter_error, paused_reason FROM webhooks",
    )
    return "".join([str(await app.db.fetch(query)) for query in queries])


async def wait_for_events(daemon: Running, *events: str) -> None:
    for event in events:
        await daemon.line(lambda line, event=event: f'"{event}"' in line, err=True)  # type: ignore[misc]


async def test_no_output_contains_a_secret_when_everything_fails(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "config.toml").write_text(settings(port))
    receiver.answer = echo_or_redirect
    env = {"DATABASE_URL": database}
    garbage = HTTP + b"200 " + CANARY.encode() + b"\x00\r\nX: \xff\xfe\x00\r\n\r\n"
    async with (
        hostile(closing_at_once) as one,
        hostile(resetting) as two,
        hostile(responding_once(CANARY.encode() * 10)) as three,
        hostile(responding_with(garbage)) as four,
        running(
            *("run", "--no-embedded"),
            folder=tmp_path,
            env=env,
            python=("-m", "tests.support.faulty_signing"),
        ) as daemon,
    ):
        tenant = await make_everything_fail(app, receiver, [x.url for x in (one, two, three, four)])
        await wait_for_events(daemon, "service.started")
        await until(lambda: every_secret_is_sealed(app))
        await app.event(tenant, {"password": f"{CANARY}-data"})
        await app.event(tenant, type="fault")
        await wait_for_events(daemon, "delivery.failed", "delivery.postponed", "endpoint.changed")
        await wait_for_events(daemon, "notice.not_mailed")
        await until(lambda: every_endpoint_is_paused(app))
        served = await served_pages(port)
        checked = await webhookd("check", folder=tmp_path, env=env)
        as_json = await webhookd("check", "--json", folder=tmp_path, env=env)
        (tmp_path / "config.toml").write_text(f"security.master_keys = ['{CANARY}']\n")
        daemon.process.send_signal(signal.SIGHUP)
        await wait_for_events(daemon, "service.reload_refused")
        await app.db.execute("ALTER TABLE webhook_deliveries RENAME TO elsewhere")
        await wait_for_events(daemon, "loop.failed")
        await app.db.execute("ALTER TABLE elsewhere RENAME TO webhook_deliveries")
        await until(lambda: database_connection_is_lost(app, daemon))
        assert await daemon.stop(signal.SIGTERM) == 0

    output = [
        *(daemon.out + daemon.err),
        *(served, checked.out, checked.err, as_json.out, as_json.err),
        await shown_to_customers(app),
    ]
    password = urlsplit(database).password
    assert checked.code == 1
    for secret in (CANARY, "c29tZW9uZTpj", password):
        assert secret
        assert [text for text in output if secret in text] == []


async def database_connection_is_lost(app: Application, daemon: Running) -> bool:
    await app.db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return any('"database.lost"' in line for line in daemon.err)


async def every_secret_is_sealed(app: Application) -> bool:
    left: int = await app.db.fetchval("SELECT count(*) FROM webhooks WHERE sealed_with = ''")
    return left == 0


async def every_endpoint_is_paused(app: Application) -> bool:
    """All were attempted twice and paused, except for the one whose secret cannot be opened."""
    left: int = await app.db.fetchval(
        "SELECT count(*) FROM webhooks WHERE is_active AND filter_error IS NULL"
        " AND endpoint_url NOT LIKE '%/lost%'"
    )
    return left == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--no-embedded"),
        pytest.param(("check",), marks=pytest.mark.full),
        pytest.param(("migrate",), marks=pytest.mark.full),
        pytest.param(("trigger", "email.opened"), marks=pytest.mark.full),
        pytest.param(
            ("rotate-secret", "00000000-0000-0000-0000-000000000000"), marks=pytest.mark.full
        ),
    ],
)
async def test_a_command_that_cannot_start_prints_no_secret(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    password = f"{CANARY}-password"
    configurations = [
        f"database.url = 'postgresql://me:{password}@127.0.0.1:1/nowhere'",
        f"database.url = 'postgresql://me:{password}#x@127.0.0.1:1/nowhere'",
        f"security.master_keys = ['{CANARY}']",
        f"egress.proxy = 'http://me:{password}@'",
        f"egress.proxy = 'ftp://me:{password}@h'",
        f"{CANARY} = ['{CANARY}",
    ]
    for text in configurations[:1] if arguments[0] == "run" else configurations:
        (tmp_path / "config.toml").write_text(text)

        async with running(*arguments, folder=tmp_path) as command:
            if arguments[0] == "run":  # it waits for the database
                await command.line(lambda line: "database.awaited" in line, err=True)
                command.process.kill()
            await command.wait()

        assert password not in "".join(command.out + command.err)


def test_a_crash_leaves_no_core_dump(database: str, tmp_path: Path) -> None:
    unlimited = ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh"]
    port = free_port()
    env = environment({"DATABASE_URL": database, "WEBHOOKD_ADMIN__PORT": str(port)})
    if not dumps_core([*unlimited, sys.executable, "-c", "import os; os.abort()"], tmp_path, env):
        pytest.skip("core dumps are disabled on this machine")

    daemon = subprocess.Popen(
        [*unlimited, sys.executable, "-m", "daemon", "run", "--no-embedded"],
        cwd=tmp_path,
        env=env,
        stderr=subprocess.PIPE,
    )
    assert daemon.stderr is not None
    while b"service.started" not in daemon.stderr.readline():
        pass
    os.kill(daemon.pid, signal.SIGABRT)
    _, status = os.waitpid(daemon.pid, 0)
    daemon.returncode = -os.WTERMSIG(status)
    daemon.stderr.close()

    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)


def dumps_core(command: list[str], folder: Path, env: dict[str, Any]) -> bool:
    pid = os.posix_spawn(
        "/usr/bin/env", ["env", "-C", str(folder), *command], env | {"PWD": str(folder)}
    )
    _, status = os.waitpid(pid, 0)
    return os.WCOREDUMP(status)
