"""Starting: what is not there yet is waited for, what will not do is told in one sentence."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from daemon import embedded
from daemon.store.migrations import migrate
from tests.faults.outages import SAFE, own_server
from tests.faults.report import Report
from tests.faults.stage import stage
from tests.support import daemons

PASSWORD = "hunter2-which-nobody-may-see"


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that came to its end."""

    code: int
    output: str
    took: float

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.took:.1f} s, {self.output.strip()!r}"

    @property
    def one_sentence(self) -> bool:
        lines = self.output.splitlines()
        return len(lines) == 1 and lines[0].startswith("webhookd: ") and PASSWORD not in lines[0]


async def migration_race(database: str, folder: Path, *, runners: int = 4) -> Report:
    """`webhookd migrate`, several at once on an empty database: all succeed, one applies."""
    report = Report()
    ended = await asyncio.gather(
        *(webhookd("migrate", database=database, folder=folder) for _ in range(runners))
    )
    applied = sum("applied" in each.output for each in ended)
    report.note("all exit 0", all(each.code == 0 for each in ended), [str(each) for each in ended])
    report.note("one applies", applied == 1, applied)
    report.note("the schema serves", (await check(database)) == 0)
    return report


async def check(database: str) -> int:
    connection = await asyncpg.connect(database)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM webhook_deliveries"))
    finally:
        await connection.close()


async def unfit_schema(database: str, folder: Path) -> Report:
    """No schema, then one that is newer than the program: refused in one sentence."""
    report = Report()
    missing = await run(database, folder)
    report.note(
        "a missing schema is told, with the command that makes it",
        missing.code == 1 and missing.one_sentence and "run `webhookd migrate`" in missing.output,
        missing,
    )
    await migrate(database)
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO webhookd_migrations VALUES ('9999_from_the_future')")
    await connection.close()
    newer = await run(database, folder)
    report.note(
        "a newer schema is told",
        newer.code == 1 and newer.one_sentence and "9999_from_the_future" in newer.output,
        newer,
    )
    return report


async def unfit_database(database: str, folder: Path) -> Report:
    """A wrong password, no such database: refused at once, without the password."""
    report = Report()
    parts = urlsplit(database)
    where = f"{parts.hostname}:{parts.port}"
    wrong = await run(
        parts._replace(netloc=f"{parts.username}:{PASSWORD}@{where}").geturl(), folder
    )
    report.note(
        "a wrong password is told",
        wrong.code == 1 and wrong.one_sentence and "password" in wrong.output and wrong.took < 5,
        wrong,
    )
    absent = await run(parts._replace(path="/no_such_database").geturl(), folder)
    report.note(
        "a database that does not exist is told",
        absent.code == 1 and absent.one_sentence and absent.took < 5,
        absent,
    )
    return report


async def late_database(folder: Path) -> Report:
    """PostgreSQL comes after the daemon, which has waited for it."""
    report = Report()
    log = folder / "late-database.log"
    async with own_server(folder) as server:
        url, port = server.url, server.port
    async with daemons.starting(url, folder, port=daemons.free_port(), log=log) as one:
        await daemons.until(lambda: "database.awaited" in log.read_text())
        report.note("it waits", one.process.returncode is None)
        server = await embedded.start(folder / "postgres", settings=SAFE, port=port)
        try:
            began = time.monotonic()
            await daemons.until(lambda: ready(one), every=0.05)
            took = time.monotonic() - began
            report.note("it begins when the database comes", took < 5, f"after {took:.1f} s")
            async with stage(url, tenants=2, webhooks=2) as it:
                await it.publish(20)
                await it.delivered()
                await it.count(report)
            report.note("it stops in order", await one.stop() == 0)
        finally:
            await server.stop()
    told, password = log.read_text(), urlsplit(url).password or ""
    report.note("its log shows no password", password not in told, told[:300])
    return report


async def no_database(folder: Path, *, patiently: bool) -> Report:
    """PostgreSQL never comes: SIGTERM ends the wait, and so does (`patiently`) half a minute."""
    report = Report()
    url = f"postgresql://webhookd:{PASSWORD}@127.0.0.1:{daemons.free_port()}/webhookd"
    log = folder / "no-database.log"
    async with daemons.starting(url, folder, port=daemons.free_port(), log=log) as one:
        await daemons.until(lambda: "database.awaited" in log.read_text())
        began = time.monotonic()
        code = await one.stop()
        took = time.monotonic() - began
        report.note(
            "SIGTERM ends the wait in order",
            code == 0 and took < 3,
            f"exit code {code} after {took:.1f} s",
        )
    report.note("its log shows no password", PASSWORD not in log.read_text())
    if patiently:
        ended = await run(url, folder)
        last = ended.output.splitlines()[-1]
        report.note(
            "it gives up with a sentence", ended.code == 1 and "cannot be used" in last, ended
        )
        report.note("which shows no password", PASSWORD not in ended.output)
    return report


async def ready(one: daemons.Daemon) -> bool:
    assert one.process.returncode is None, "the daemon did not wait"
    return await one.ready() == 200


async def run(database: str, folder: Path) -> Ended:
    return await webhookd("run", "--no-embedded", database=database, folder=folder)


async def webhookd(*arguments: str, database: str, folder: Path) -> Ended:
    """Run the command to its end, which must come within a minute."""
    file = folder / "config-command.toml"
    file.write_text("[admin]\nport = 0\n[log]\nlevel = 'warning'\n")
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon", *arguments, "--config", str(file)),
        env=os.environ | {"WEBHOOKD_DATABASE__URL": database},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, (out + err).decode(), time.monotonic() - began)
