"""A database that is not in UTF-8 is refused; one in UTF-8 works, whatever its locale."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.core.errors import ConfigError
from daemon.store.migrations import migrate
from tests.support.application import Application
from tests.support.checked import checked
from tests.support.commandline import webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

IN_C = "LC_COLLATE 'C' LC_CTYPE 'C'"
# Turkish: what is lower and upper case differs from what programs expect.
TURKISH = f"LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' {IN_C}"
ODD_TEXT = "İı: Zażółć 🙂 \x7f"


@asynccontextmanager
async def created(server: str, options: str) -> AsyncIterator[str]:
    """The URL of an empty database that was created with these options."""
    name = f"webhookd_test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    except asyncpg.FeatureNotSupportedError as error:
        pytest.skip(str(error))  # a PostgreSQL that was built without ICU
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()


async def test_every_command_that_could_begin_with_it_refuses_a_database_without_utf8(
    tmp_path: Path, postgres_url: str
) -> None:
    async with created(postgres_url, f"ENCODING 'SQL_ASCII' {IN_C}") as database:
        env = {"DATABASE_URL": database, "WEBHOOKD_ADMIN__PORT": "0"}
        migrated = await webhookd("migrate", folder=tmp_path, env=env)
        ran = await webhookd("run", folder=tmp_path, env=env)
        code, messages = await checked(tmp_path, database)

    sentence = "the database's encoding is SQL_ASCII, and it must be UTF8: create a database with"
    for refused in (migrated, ran):
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.splitlines()[-1].startswith(f"webhookd: database.url: {sentence}")
    assert code == 1
    assert any(sentence in line for line in messages["error"] if line.startswith("database: "))


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252"])
async def test_a_database_that_can_store_only_some_characters_is_refused(
    postgres_url: str, encoding: str
) -> None:
    async with created(postgres_url, f"ENCODING '{encoding}' {IN_C}") as database:
        with pytest.raises(ConfigError, match=f"encoding is {encoding}, and it must be UTF8"):
            await migrate(database)


@pytest.mark.parametrize(
    "locale",
    [
        IN_C,
        pytest.param("LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'", marks=pytest.mark.full),
        pytest.param(TURKISH, marks=pytest.mark.full),
    ],
)
async def test_a_database_in_utf8_works_whatever_its_locale(
    tmp_path: Path, postgres_url: str, receiver: Receiver, locale: str
) -> None:
    if locale is TURKISH and await major_version(postgres_url) < 15:
        pytest.skip("a database has ICU's locales from PostgreSQL 15 on")
    async with created(postgres_url, f"ENCODING 'UTF8' {locale}") as database:
        await migrate(database)
        connection = await asyncpg.connect(database)
        app = Application(connection)
        webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
        async with serving(database):
            await app.event(tenant, {"text": ODD_TEXT})
            await until(lambda: settled(app, webhook, "success", 1))
        code, messages = await checked(tmp_path, database)
        await connection.close()

    assert receiver.received[0].event["data"] == {"text": ODD_TEXT}
    assert (code, messages["error"]) == (0, [])


async def major_version(server: str) -> int:
    connection = await asyncpg.connect(server)
    try:
        return int(connection.get_server_version().major)
    finally:
        await connection.close()
