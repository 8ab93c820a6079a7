"""The commands of docs/databases.md, run against a server of their own."""

import re
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from daemon.store import migrations
from tests.support.application import Application
from tests.support.commandline import webhookd
from tests.support.daemons import serving, until
from tests.support.failover import (
    Server,
    needs_server_programs,
    new_server,
    run_as_server,
    servers_folder,
)
from tests.support.receiver import Receiver

pytestmark = needs_server_programs

PAGE = Path(__file__).parents[2] / "docs" / "databases.md"


def commands(about: str, *, section: str = "Backup and restore") -> str:
    """The one block of commands of a section that contains this word."""
    text = PAGE.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    [block] = [each for each in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if about in each]
    return str(block)


async def execute(about: str, **variables: str) -> None:
    await run_as_server("bash", "-euc", commands(about), **variables)


async def insert_event(server: Server, receiver: Receiver) -> UUID:
    """Insert an event that no daemon has seen yet, with a webhook that wants it."""
    db = await asyncpg.connect(server.url)
    try:
        app = Application(db)
        tenant = await app.tenant()
        await app.webhook(tenant, receiver.url)
        return await app.event(tenant)
    finally:
        await db.close()


async def delivered_from(url: str, receiver: Receiver) -> set[str]:
    """Run a daemon until something is delivered and nothing is left to fan out."""
    db = await asyncpg.connect(url)
    async with serving(url):
        await until(lambda: receiver.received)
        await until(lambda: nothing_new(db))
    await db.close()
    return {each.headers["webhook-id"] for each in receiver.received}


async def nothing_new(db: asyncpg.Connection) -> bool:
    return not await db.fetchval("SELECT EXISTS (SELECT FROM webhook_event_inbox)")


async def test_a_dump_is_restored_and_what_was_due_in_it_is_delivered(
    receiver: Receiver, tmp_path: Path
) -> None:
    async with servers_folder() as folder:
        server = await new_server(folder)
        await server.start()
        await migrations.migrate(server.url)
        of_elsewhere = await insert_event(server, receiver)
        # As on a server that has run for longer than the one into which it is restored.
        await executed(server.url, "UPDATE webhook_event_inbox SET xid = '1000000000'")
        event = await insert_event(server, receiver)
        restored = server.url.replace("/postgres", "/restored")

        places = {"DATABASE_URL": server.url, "RESTORED_URL": restored, "BACKUP": str(folder)}
        await execute("pg_dump", **places)
        await execute("pg_restore", **places)
        checked = await webhookd("check", folder=tmp_path, env={"DATABASE_URL": restored})
        received = await delivered_from(restored, receiver)

    assert checked.code == 0, checked.out
    assert "came with a dump of another server and wait for a daemon: 1." in checked.out
    assert received == {f"evt_{each.hex}" for each in (of_elsewhere, event)}


@pytest.mark.full
@pytest.mark.parametrize(("encoding", "about"), [("LATIN1", "custom"), ("SQL_ASCII", "plain")])
async def test_a_database_in_another_encoding_is_moved_to_one_in_utf8(
    encoding: str, about: str
) -> None:
    async with servers_folder() as folder:
        server = await new_server(folder)
        await server.start()
        old, new = (server.url.replace("/postgres", f"/{n}") for n in ("old", "webhooks_utf8"))
        await run_as_server(
            *("createdb", f"--maintenance-db={server.url}", "--template=template0", "--locale=C"),
            *(f"--encoding={encoding}", "old"),
        )
        await executed(old, "CREATE TABLE texts AS SELECT 'caf' || chr(233) AS text")

        places = {"DATABASE_URL": old, "NEW_URL": new, "BACKUP": str(folder)}
        moving = commands("createdb", section="Encoding")
        create = moving.splitlines()[0]
        script = (
            moving if about == "custom" else create + "\n" + commands(about, section="Encoding")
        )
        await run_as_server("bash", "-euc", script, **places)
        moved = await executed(new, "SELECT text FROM texts")

    assert moved == "café"


async def executed(url: str, statement: str) -> object:
    db = await asyncpg.connect(url)
    try:
        return await db.fetchval(statement)
    finally:
        await db.close()


@pytest.mark.full
async def test_a_moment_in_the_past_is_restored_without_what_came_later(receiver: Receiver) -> None:
    async with servers_folder() as folder:
        server = await new_server(folder)
        archive = folder / "archive"
        await run_as_server("mkdir", archive)
        await server.start(archive_mode="on", archive_command=f"cp %p {archive}/%f")
        await migrations.migrate(server.url)
        places = {"DATABASE_URL": server.url, "BACKUP": str(folder), "ARCHIVE": str(archive)}
        await execute("pg_basebackup", **places)
        before = await insert_event(server, receiver)
        moment = await moment_of(server)
        await insert_event(server, receiver)
        await server.stop("fast")  # which archives what was not yet

        restored = Server(folder / "base", server.port)
        await execute("recovery.signal", **places, MOMENT=moment)
        received = await delivered_from(restored.url, receiver)

    assert received == {f"evt_{before.hex}"}


async def test_the_size_of_deliveries_can_be_asked_for(database: str) -> None:
    [statement] = re.findall(r"^    (SELECT pg_size_pretty.*);$", PAGE.read_text(), re.MULTILINE)
    db = await asyncpg.connect(database)

    size = await db.fetchval(statement)

    await db.close()
    assert re.fullmatch(r"\d+ kB", size)


async def moment_of(server: Server) -> str:
    """The server's time, between what came before and what comes next."""
    db = await asyncpg.connect(server.url)
    try:
        return str(await db.fetchval("SELECT pg_sleep(0.05), clock_timestamp()::text", column=1))
    finally:
        await db.close()
