"""`webhookd forget`: it asks for confirmation, reports the rows, and erases no others."""

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.support.aged_rows import count_in, stored_delivery, stored_event
from tests.support.application import Application
from tests.support.commandline import MODULE, CompletedCommand, environment, webhookd

TIMEOUT_SECONDS = 30.0


@pytest.fixture
async def tenant(app: Application) -> UUID:
    """A tenant with an event and a delivery that name a contact, and an event that does not."""
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://example.com")
    await stored_event(app, tenant, data='{"contact": {"email": "Eve@example.com"}}')
    await stored_event(app, tenant)
    await stored_delivery(app, webhook, payload='{"to": "eve@example.com"}', status="pending_retry")
    return tenant


async def forget(database: str, folder: Path, *arguments: str) -> CompletedCommand:
    return await webhookd("forget", *arguments, folder=folder, env={"DATABASE_URL": database})


class Terminal:
    """The output and the input of a command that runs on a terminal."""

    def __init__(self, controller: int) -> None:
        self.shown = ""
        self._controller = controller
        self._grown = asyncio.Event()
        asyncio.get_running_loop().add_reader(controller, self._read)

    async def shows(self, text: str) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while text not in self.shown:
                self._grown.clear()
                await self._grown.wait()

    def type(self, text: str) -> None:
        os.write(self._controller, text.encode())

    def _read(self) -> None:
        try:
            self.shown += os.read(self._controller, 65536).decode()
        except OSError:  # no process has the terminal open any more
            asyncio.get_running_loop().remove_reader(self._controller)
        self._grown.set()


@asynccontextmanager
async def on_terminal(
    database: str, folder: Path, *arguments: str
) -> AsyncIterator[tuple[Terminal, asyncio.subprocess.Process]]:
    controller, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *MODULE, "forget", *arguments),
        cwd=folder,
        env=environment({"DATABASE_URL": database, "TERM": "xterm"}),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        yield Terminal(controller), process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(controller)
        os.close(controller)


async def test_a_contact_is_erased_and_the_rows_are_counted(
    app: Application, database: str, tmp_path: Path, tenant: UUID
) -> None:
    arguments = ("--tenant", str(tenant), "--contact", "eve@example.com", "--yes")

    first = await forget(database, tmp_path, *arguments)
    second = await forget(database, tmp_path, *arguments)

    assert (first.code, first.err) == (0, "")
    assert first.out == "erased: 1 event, 1 delivery (1 pending)\n"
    assert (second.code, second.out) == (0, "nothing is stored about it\n")
    assert await count_in(app, "webhook_events") == 1
    assert await count_in(app, "webhooks") == 1


async def test_all_data_of_a_tenant_is_erased(
    app: Application, database: str, tmp_path: Path, tenant: UUID
) -> None:
    ended = await forget(
        database, tmp_path, "--tenant", str(tenant), "--everything", "--yes", "--json"
    )

    assert ended.code == 0
    assert json.loads(ended.out) == {
        "tenantId": str(tenant),
        "dryRun": False,
        "events": 2,
        "waiting": 0,
        "deliveries": 1,
        "pending": 1,
        "replays": 0,
        "notices": 0,
        "webhooks": 1,
        "confirmations": 0,
        "tokens": 0,
        "links": 0,
        "audit": 0,
        "answers": 0,
        "versions": 0,
    }
    assert await count_in(app, "webhooks") == 0
    # The erasure itself is on record: who, when, and the tenant's id.
    [record] = await app.db.fetch("SELECT action, tenant_id, object_id FROM webhook_audit")
    assert tuple(record) == ("eraseTenant", tenant, tenant)
    assert await count_in(app, "tenants") == 1


@pytest.mark.parametrize("what", [("--contact", "eve@example.com"), ("--everything",)])
async def test_a_dry_run_asks_for_nothing_and_erases_nothing(
    app: Application, database: str, tmp_path: Path, tenant: UUID, what: tuple[str, ...]
) -> None:
    arguments = ("--tenant", str(tenant), *what, "--dry-run")

    shown = await forget(database, tmp_path, *arguments)
    as_json = await forget(database, tmp_path, *arguments, "--json", "--yes")

    assert (shown.code, as_json.code) == (0, 0)
    assert shown.out.startswith("would be erased: ")
    assert json.loads(as_json.out)["dryRun"]
    assert json.loads(as_json.out)["deliveries"] == 1
    assert await count_in(app, "webhook_events") == 2
    assert await count_in(app, "webhook_deliveries") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--tenant: is required"),
        (("--tenant", "7", "--everything"), "--tenant: "),
        (("--tenant", str(uuid4())), "either --contact or --everything"),
        (("--tenant", str(uuid4()), "--contact", "x", "--everything"), "either --contact or"),
        (("--tenant", str(uuid4()), "--contact", " ", "--yes"), "--contact: is empty"),
        (("--tenant", str(uuid4()), "--contact", "\udcff", "--yes"), "this is not UTF-8"),
        (("--tenant", str(uuid4()), "--everything"), "give --yes, or --dry-run"),
        (("--tenant", str(uuid4()), "--everything", "--yes"), "there is no tenant"),
        (("--tenant", str(uuid4()), "--contact", "x", "--dry-run"), "there is no tenant"),
    ],
)
async def test_a_usage_error_is_one_line_and_erases_nothing(
    app: Application,
    *,
    database: str,
    tmp_path: Path,
    tenant: UUID,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    ended = await forget(database, tmp_path, *arguments)

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert message in ended.err
    assert await count_in(app, "webhook_events") == 2


@pytest.mark.parametrize(
    ("everything", "answer", "code"),
    [
        (False, "y", 0),
        (False, "", 1),
        (False, "n", 1),
        (True, "y", 1),
        (True, "the tenant's id", 0),
    ],
)
async def test_on_a_terminal_the_rows_are_counted_and_confirmed_first(
    app: Application,
    *,
    database: str,
    tmp_path: Path,
    tenant: UUID,
    everything: bool,
    answer: str,
    code: int,
) -> None:
    what = ("--everything",) if everything else ("--contact", "eve@example.com")
    async with on_terminal(database, tmp_path, "--tenant", str(tenant), *what) as (person, ended):
        await person.shows("to erase it:" if everything else "Erase it? [y/N]:")
        before = await count_in(app, "webhook_deliveries")
        person.type((str(tenant) if answer.startswith("the") else answer) + "\n")
        await person.shows("erased: " if code == 0 else "nothing was erased")
        returned = await asyncio.wait_for(ended.wait(), TIMEOUT_SECONDS)

    assert returned == code
    assert "1 delivery (1 pending)" in person.shown
    assert (before, await count_in(app, "webhook_deliveries")) == (1, code)


async def test_on_a_terminal_nothing_is_asked_if_nothing_is_found(
    database: str, tmp_path: Path, tenant: UUID
) -> None:
    arguments = ("--tenant", str(tenant), "--contact", "adam@example.com")
    async with on_terminal(database, tmp_path, *arguments) as (person, ended):
        await person.shows("nothing is stored about it")
        code = await asyncio.wait_for(ended.wait(), TIMEOUT_SECONDS)

    assert code == 0
    assert "Erase" not in person.shown


async def test_a_role_without_the_privilege_to_erase_gets_one_clear_line(
    app: Application, database: str, tmp_path: Path, tenant: UUID
) -> None:
    role = f"lowly_{uuid4().hex[:8]}"
    await app.db.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON ALL TABLES IN SCHEMA public"
        f" TO {role}"
    )
    place = database.rpartition("@")[2]
    try:
        ended = await forget(
            f"postgresql://{role}:x@{place}",
            tmp_path,
            *("--tenant", str(tenant), "--contact", "eve@example.com", "--yes"),
        )
    finally:
        await app.db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert (ended.code, ended.out) == (1, "")
    assert "permission denied for table" in ended.err
    assert ended.err.count("\n") == 1
