"""Alerts fire in a real Prometheus that scrapes a real daemon in trouble, and end with it."""

import asyncio
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from tests.docs.test_alerts import ALERTS, RULES, concrete, dashboard_queries
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, get_json, until
from tests.support.deliveries import insert_delivery
from tests.support.holds import hold, release
from tests.support.receiver import Receiver, Reply

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: webhookd
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
ONE_AT_A_TIME = "[delivery]\nconcurrency = 16\nper_endpoint = 1\n"
AN_HOUR_AGO = timedelta(hours=-1)


class Prometheus:
    """A server that scrapes each second, with our rules, of which none waits."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}/api/v1"

    async def _get(self, path: str) -> Any:
        """Return an answer; None while it starts, when it says so in plain text."""
        try:
            _, answer = await asyncio.to_thread(get_json, self._api + path)
        except ValueError:
            return None
        return answer

    async def query(self, query: str) -> str:
        """Return the status of a query."""
        answer = await self._get(f"/query?query={quote(query)}")
        return str(answer["status"])

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        answer = await self._get("/alerts")
        alerts = answer["data"]["alerts"] if answer else []
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    async def scrapes(self) -> bool:
        """Whether it has read the daemon's page."""
        answer = await self._get("/query?query=webhookd_ready")
        return bool(answer and answer["data"]["result"])

    async def fires(self, alert: str) -> None:
        """Wait until the alert fires."""
        assert alert in ALERTS

        async def does() -> bool:
            return alert in await self.firing()

        await until(does, within=60, every=0.3)

    async def ends(self, alert: str) -> None:
        """Wait until the alert does not fire any more."""

        async def did() -> bool:
            return alert not in await self.firing()

        await until(did, within=60, every=0.3)


@asynccontextmanager
async def prometheus(folder: Path, *, scraping: int) -> AsyncIterator[Prometheus]:
    port = free_port()
    (folder / "prometheus.yml").write_text(CONFIG.format(port=scraping))
    (folder / "rules.yml").write_text(re.sub(r"(?m)^ +for: .*\n", "", RULES.read_text()))
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    try:
        server = Prometheus(port)
        await until(server.scrapes, every=0.3)
        yield server
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def outage(server: asyncpg.Connection, database: str) -> AsyncIterator[None]:
    """Refuse connections to this database, and end those that there are."""
    name = urlsplit(database).path.lstrip("/")
    await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    await server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    yield
    await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


async def test_alerts_fire_while_a_daemon_is_in_trouble(
    app: Application, database: str, postgres_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    server = await asyncpg.connect(postgres_url)
    port, answer = free_port(), asyncio.Event()
    async with (
        daemon(database, tmp_path, settings=ONE_AT_A_TIME, port=port) as running,
        prometheus(tmp_path, scraping=port) as watching,
    ):
        assert await watching.firing() == set()
        for query in [rule["expr"] for rule in ALERTS.values()] + dashboard_queries():
            assert await watching.query(concrete(query)) == "success", query

        await hold(app)
        await watching.fires("WebhookdEverythingHeld")
        await release(app)
        await watching.ends("WebhookdEverythingHeld")

        file = tmp_path / f"config-{port}.toml"
        good = file.read_text()
        file.write_text(good + "[delivery\n")
        running.process.send_signal(signal.SIGHUP)
        await watching.fires("WebhookdReloadRefused")
        file.write_text(good)
        running.process.send_signal(signal.SIGHUP)
        await watching.ends("WebhookdReloadRefused")

        receiver.answer = lambda _: Reply(when=answer)
        webhook = await app.webhook(await app.tenant(), receiver.url)
        for _ in range(2):
            await insert_delivery(app, webhook, next_retry_at=datetime.now(UTC) + AN_HOUR_AGO)
        await watching.fires("WebhookdDeliveriesLate")

        await app.db.close()
        async with outage(server, database):
            answer.set()  # its result cannot be stored
            await watching.fires("WebhookdNotReady")
            await watching.fires("WebhookdResultsNotStored")
        await watching.ends("WebhookdNotReady")
        await watching.ends("WebhookdResultsNotStored")
        await watching.ends("WebhookdDeliveriesLate")

        await running.kill()
        await watching.fires("WebhookdDown")
    await server.close()
