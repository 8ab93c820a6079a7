"""`webhookd listen --register`: a webhook that exists as long as the local receiver."""

import asyncio
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.application import Application
from tests.support.commandline import Running, running, webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import settled

CONFIG = """
[egress]
allow_http = true
allow_networks = ["127.0.0.0/8"]
allow_ports = ["1-65535"]
"""


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Mapping[str, str]:
    (tmp_path / "config.toml").write_text(CONFIG)
    return {"DATABASE_URL": database}


async def webhook_of(listener: Running) -> str:
    line = await listener.line(lambda line: "until this command ends" in line, err=True)
    found = re.search(r"webhook ([0-9a-f-]{36})", line)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full)]
)
async def test_a_registered_receiver_gets_events_and_leaves_nothing_behind(
    app: Application, database: str, tmp_path: Path, settings: Mapping[str, str], number: int
) -> None:
    tenant = await app.tenant()
    async with (
        serving(database),
        running(
            *("listen", "--register", "--port", "0"), folder=tmp_path, env=settings
        ) as listener,
    ):
        webhook = await webhook_of(listener)
        event = await app.event(tenant, {"city": "Zürich"})
        [line] = await listener.lines(1)
        await until(lambda: settled(app, webhook, "success", 1))
        code = await listener.stop(signal.Signals(number))

    assert (code, "valid  " in line, f"evt_{event.hex}" in line) == (0, True, True)
    assert "whsec_" not in "".join(listener.out + listener.err)
    assert f"webhookd: webhook {webhook} is removed" in listener.err
    assert await app.db.fetchval("SELECT count(*) FROM webhooks") == 0
    assert await app.db.fetchval("SELECT count(*) FROM webhook_deliveries") == 0
    audited = await app.db.fetch("SELECT action FROM webhook_audit")
    assert sorted(row["action"] for row in audited) == ["createWebhook", "deleteWebhook"]


async def test_a_webhook_that_somebody_deleted_meanwhile_is_no_error(
    app: Application, tmp_path: Path, settings: Mapping[str, str]
) -> None:
    await app.tenant()
    async with running(
        *("listen", "--register", "--port", "0", "--url", "http://127.0.0.1:81/in"),
        folder=tmp_path,
        env=settings,
    ) as listener:
        await webhook_of(listener)
        url = await app.db.fetchval("DELETE FROM webhooks RETURNING endpoint_url")
        code = await listener.stop()

    assert (url, code) == ("http://127.0.0.1:81/in", 0)


async def test_the_error_names_the_webhook_that_could_not_be_removed(
    app: Application, tmp_path: Path, settings: Mapping[str, str]
) -> None:
    await app.tenant()
    async with running(
        *("listen", "--register", "--port", "0"), folder=tmp_path, env=settings
    ) as listener:
        webhook = await webhook_of(listener)
        await app.db.execute("ALTER TABLE webhooks RENAME TO lost")
        code = await listener.stop()

    assert code == 1
    assert f"webhook {webhook} of tenant" in listener.err[-1]
    assert "was not removed" in listener.err[-1]
    assert "Traceback" not in "".join(listener.err)


async def test_what_cannot_be_registered_is_refused_and_leaves_no_webhook(
    app: Application, tmp_path: Path, settings: Mapping[str, str]
) -> None:
    await app.tenant()
    (tmp_path / "strict.toml").write_text("")

    async def error(*arguments: str) -> tuple[int, str]:
        done = await webhookd("listen", "--port", "0", *arguments, folder=tmp_path, env=settings)
        return done.code, done.err.splitlines()[-1]

    unreachable, unknown, secret, alone = await asyncio.gather(
        error("--register", "--config", "strict.toml"),
        error("--register", "--tenant", str(uuid4())),
        error("--register", "--secret", "whsec_bXkgc2VjcmV0IGtleQ=="),
        error("--url", "http://127.0.0.1/"),
    )

    assert [code for code, _ in (unreachable, unknown, secret, alone)] == [2, 2, 2, 2]
    assert "must begin with https://" in unreachable[1]
    assert "egress.allow_http" in unreachable[1]
    assert "--tenant: there is no tenant" in unknown[1]
    assert "a secret of its own" in secret[1]
    assert "only with --register" in alone[1]
    assert await app.db.fetchval("SELECT count(*) FROM webhooks") == 0
