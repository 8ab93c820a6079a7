"""The embedded server: its URL, its settings and its environment."""

import os
from pathlib import Path

import psutil
import pytest
import uvloop

from daemon import embedded
from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded import cluster
from tests.embedded.processes import query, running
from tests.support.postgres import FAST_SETTINGS


async def test_the_first_start_creates_a_server_that_answers_at_its_url(directory: Path) -> None:
    async with running(directory / "new" / "postgres") as started:
        answer = await query(started.url, "SELECT current_user || ' in ' || current_database()")

        assert answer == "webhookd in webhookd"
        assert started.url.endswith(f"@127.0.0.1:{started.port}/webhookd")
        assert psutil.Process(started.pid).ppid() == os.getpid()


async def test_the_server_uses_unicode_and_fsync_by_default(directory: Path) -> None:
    async with running(directory / "postgres", settings={}) as started:
        assert await query(started.url, "SHOW server_encoding") == "UTF8"
        assert await query(started.url, "SHOW fsync") == "on"
        assert await query(started.url, "SELECT lower('ÄÖÜ')") == "äöü"


async def test_the_server_inherits_nothing_of_our_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "tlh_KX.ISO-8859-3")
    monkeypatch.setenv("WEBHOOKD_SECURITY__MASTER_KEYS", "a secret")

    async with running(data) as started:
        environment = psutil.Process(started.pid).environ()

        # LC_CTYPE is what PostgreSQL adds by itself.
        assert set(environment) <= {"PATH", "LC_ALL", "LC_CTYPE", "PGLOCALEDIR", "PGSYSCONFDIR"}
        assert environment.get("LC_ALL", "C") == "C"


async def test_a_machine_without_unicode_locale_uses_the_locale_c(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LOCALES", ("tlh_KX.UTF-8", "C"))

    async with running(directory / "postgres") as started:
        found = await query(
            started.url, "SELECT datctype FROM pg_database WHERE datname = 'webhookd'"
        )

        assert found == "C"
        assert await query(started.url, "SHOW server_encoding") == "UTF8"


async def test_data_survives_a_restart_on_another_port(data: Path) -> None:
    async with running(data) as first:
        await query(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")

    async with running(data) as second:
        assert await query(second.url, "SELECT answer FROM kept") == 42
        assert second.url.split("@")[0] == first.url.split("@")[0]


async def test_settings_are_applied_but_cannot_open_the_server_to_the_network(data: Path) -> None:
    settings = {**FAST_SETTINGS, "max_connections": "7", "listen_addresses": "*", "port": "1"}

    async with running(data, settings=settings) as started:
        assert await query(started.url, "SHOW max_connections") == "7"
        assert await query(started.url, "SHOW listen_addresses") == "127.0.0.1"
        assert await query(started.url, "SHOW password_encryption") == "scram-sha-256"


def test_the_server_runs_on_uvloop(data: Path) -> None:
    async def ask_once() -> object:
        async with running(data) as started:
            return await query(started.url, "SELECT 1")

    assert uvloop.run(ask_once()) == 1


async def test_a_failed_start_reports_the_server_s_error(data: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r'invalid value for .* "max_connections"'):
        await embedded.start(data, settings={"max_connections": "many"})
