"""Which database a command uses when none is configured."""

from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from daemon import embedded
from tests.support.commandline import webhookd, with_data_in
from tests.support.postgres import FAST_SETTINGS

NOBODY = str(UUID(int=1))


async def test_commands_use_the_embedded_postgresql_of_a_running_daemon(
    embedded_data: Path, tmp_path: Path
) -> None:
    program = with_data_in(embedded_data)
    before = embedded.running_url(embedded_data)
    server = await embedded.start(embedded_data, settings=FAST_SETTINGS)
    during = embedded.running_url(embedded_data)
    migrated = await webhookd("migrate", folder=tmp_path, python=program)
    connection = await asyncpg.connect(during)
    await connection.execute("INSERT INTO tenants DEFAULT VALUES")
    triggered = await webhookd(
        "trigger", "email.sent", folder=tmp_path, python=with_data_in(embedded_data)
    )
    stored = await connection.fetchval("SELECT count(*) FROM webhook_events")
    await connection.close()
    stale = (embedded_data / "cluster" / "postmaster.pid").read_text()
    await server.stop()
    (embedded_data / "cluster" / "postmaster.pid").write_text(stale)

    assert (before, during, embedded.running_url(embedded_data)) == (None, server.url, None)
    assert (migrated.code, triggered.code, stored) == (0, 0, 1)
    assert f"the embedded PostgreSQL in {embedded_data}, which is running" in triggered.err


@pytest.mark.parametrize(
    "command",
    [
        *(["migrate"], ["list"], ["forget", "--tenant", NOBODY, "--contact", "a@b", "--yes"]),
        *(["retry", NOBODY], ["retry", "--replay", NOBODY], ["replay", "--status", NOBODY]),
        *(["show", NOBODY], ["explain", NOBODY, NOBODY], ["rotate-secret", NOBODY]),
    ],
    ids=lambda command: " ".join(command[:2]),
)
async def test_a_command_says_once_which_database_it_uses_and_no_password(
    tmp_path: Path, database: str, command: list[str]
) -> None:
    done = await webhookd(*command, folder=tmp_path, env={"DATABASE_URL": database})

    url = urlsplit(database)
    where = f"{url.username}@{url.hostname}:{url.port}{url.path}"
    assert done.database == (f"webhookd: database postgresql://{where}",), done


@pytest.mark.parametrize(
    "command",
    [
        *(["migrate"], ["migrate", "--dry-run"], ["check"], ["list"]),
        ["forget", "--tenant", NOBODY, "--everything", "--yes"],
        ["retry", NOBODY],
    ],
    ids=" ".join,
)
async def test_a_command_without_a_database_starts_none_and_exits_with_2(
    embedded_data: Path, tmp_path: Path, command: list[str]
) -> None:
    done = await webhookd(*command, folder=tmp_path, python=with_data_in(embedded_data))

    assert done.code == 2
    assert done.err == (
        "webhookd: there is no database: database.url is not set, and no embedded PostgreSQL runs"
        f" in {embedded_data}. If a systemd unit has its URL as a credential, use webhookd-admin\n"
    )
    assert not (embedded_data / "cluster").exists()
