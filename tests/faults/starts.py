"""Startup: the daemon waits for an absent database, and refuses an unusable one in one sentence."""

import asyncio
import os
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from daemon import embedded
from daemon.store.migrations import migrate
from tests.faults.accounting import check_deliveries
from tests.faults.environment import environment
from tests.faults.outages import DURABLE, own_server
from tests.faults.report import Report
from tests.support import forked_process
from tests.support.daemons import Daemon, free_port, starting, until

PASSWORD = "hunter2-a-secret-password"


@dataclass(frozen=True, slots=True)
class CompletedCommand:
    """A command that has ended; `took` is in seconds."""

    code: int
    output: str
    took: float

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.took:.1f} s, {self.output.strip()!r}"

    @property
    def one_sentence(self) -> bool:
        """Whether the output is one line of ours, without the password."""
        lines = self.output.splitlines()
        return len(lines) == 1 and lines[0].startswith("webhookd: ") and PASSWORD not in lines[0]


async def migration_race(database: str, folder: Path, *, runners: int = 4) -> Report:
    """Several `webhookd migrate` at once on an empty database: all succeed, one applies."""
    report = Report()
    ended = await asyncio.gather(
        *(webhookd("migrate", database=database, folder=folder) for _ in range(runners))
    )
    applied = sum("applied" in each.output for each in ended)
    report.check("all exit 0", all(each.code == 0 for each in ended), [str(each) for each in ended])
    report.check("one applies", applied == 1, applied)
    report.check("the schema works", (await count_deliveries(database)) == 0)
    return report


async def count_deliveries(database: str) -> int:
    """Count the rows of webhook_deliveries, which fails without a schema."""
    connection = await asyncpg.connect(database)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM webhook_deliveries"))
    finally:
        await connection.close()


async def unfit_schema(database: str, folder: Path) -> Report:
    """No schema, then one that is newer than the program: refused in one sentence."""
    report = Report()
    missing = await run(database, folder)
    report.check(
        "a missing schema is reported, with the command that creates it",
        missing.code == 1 and missing.one_sentence and "run `webhookd migrate`" in missing.output,
        missing,
    )
    await migrate(database)
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO webhookd_migrations VALUES ('9999_from_the_future')")
    await connection.close()
    newer = await run(database, folder)
    report.check(
        "a newer schema is reported",
        newer.code == 1 and newer.one_sentence and "9999_from_the_future" in newer.output,
        newer,
    )
    return report


async def unfit_database(database: str, folder: Path) -> Report:
    """A wrong password, no such database: refused at once, without the password."""
    report = Report()
    parts = urlsplit(database)
    address = f"{parts.hostname}:{parts.port}"
    wrong = await run(
        parts._replace(netloc=f"{parts.username}:{PASSWORD}@{address}").geturl(), folder
    )
    report.check(
        "a wrong password is reported",
        wrong.code == 1 and wrong.one_sentence and "password" in wrong.output,
        wrong,
    )
    absent = await run(parts._replace(path="/no_such_database").geturl(), folder)
    report.check(
        "a database that does not exist is reported",
        absent.code == 1 and absent.one_sentence,
        absent,
    )
    return report


async def late_database(folder: Path) -> Report:
    """PostgreSQL starts after the daemon, which has waited for it."""
    report = Report()
    log = folder / "late-database.log"
    async with own_server(folder) as server:
        url, port = server.url, server.port
    async with starting(url, folder, port=free_port(), log=log) as daemon:
        await until(lambda: "database.awaited" in log.read_text())
        report.check("it waits", daemon.process.returncode is None)
        server = await embedded.start(folder / "postgres", settings=DURABLE, port=port)
        try:
            await until(lambda: is_ready(daemon), every=0.05)
            async with environment(url, folder, tenants=2, webhooks=2) as env:
                await env.publish(20)
                await env.wait_for_deliveries()
                await check_deliveries(env, report)
            report.check("it stops in order", await daemon.stop() == 0)
        finally:
            await server.stop()
    logged, password = log.read_text(), urlsplit(url).password or ""
    report.check("its log shows no password", password not in logged, logged[:300])
    return report


async def no_database(folder: Path, *, wait_until_it_gives_up: bool) -> Report:
    """PostgreSQL never starts: SIGTERM ends the wait, and so does half a minute."""
    report = Report()
    url = f"postgresql://webhookd:{PASSWORD}@127.0.0.1:{free_port()}/webhookd"
    log = folder / "no-database.log"
    async with starting(url, folder, port=free_port(), log=log) as daemon:
        await until(lambda: "database.awaited" in log.read_text())
        began = time.monotonic()
        code = await daemon.stop()
        took = time.monotonic() - began
        report.check(
            "SIGTERM ends the wait in order",
            code == 0 and took < 3,
            f"exit code {code} after {took:.1f} s",
        )
    report.check("its log shows no password", PASSWORD not in log.read_text())
    if wait_until_it_gives_up:
        ended = await run(url, folder)
        last = ended.output.splitlines()[-1]
        report.check(
            "it gives up with a sentence", ended.code == 1 and "cannot be used" in last, ended
        )
        report.check("the sentence shows no password", PASSWORD not in ended.output)
    return report


async def is_ready(daemon: Daemon) -> bool:
    """Whether /readyz answers 200; fails if the daemon has exited."""
    assert daemon.process.returncode is None, "the daemon did not wait"
    return await daemon.ready() == 200


async def run(database: str, folder: Path) -> CompletedCommand:
    """Run `webhookd run` to its end."""
    return await webhookd("run", "--no-embedded", database=database, folder=folder)


async def webhookd(*arguments: str, database: str, folder: Path) -> CompletedCommand:
    """Run a command to its end, which must come within a minute."""
    file = folder / "config-command.toml"
    file.write_text("[admin]\nport = 0\n[log]\nlevel = 'warning'\n")
    began = time.monotonic()
    process = await forked_process.start(
        *("-m", "daemon", *arguments, "--config", str(file)),
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
    return CompletedCommand(process.returncode, (out + err).decode(), time.monotonic() - began)
