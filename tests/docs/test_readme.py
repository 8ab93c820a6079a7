"""README.md: its first delivery is made, as by a reader who pastes the commands."""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.support.commandline import ROOT, Running, environment
from tests.support.daemons import free_port
from tests.support.postgres import folder_for_postgres

# `webhookd` as it would be installed, but for where its database lies.
WEBHOOKD = f"""#!{sys.executable}
import os, pathlib
from daemon import cli, embedded
embedded.default_data_dir = lambda: pathlib.Path(os.environ["ROOM"], "postgres")
cli.main()
"""


@pytest.fixture
def room() -> Iterator[Path]:
    with folder_for_postgres() as folder:
        program = folder / "bin" / "webhookd"
        program.parent.mkdir()
        program.write_text(WEBHOOKD)
        program.chmod(0o755)
        yield folder


def pastes(api: int, receiver: int) -> list[str]:
    """What is to be pasted, with ports that are free here."""
    text = (ROOT / "README.md").read_text().replace("8484", str(api)).replace("9000", str(receiver))
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@asynccontextmanager
async def pasted(commands: str, room: Path, folder: Path, port: int) -> AsyncIterator[Running]:
    """A shell that runs them; it and what it began end with the block."""
    path = f"{room / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "ROOM": str(room), "WEBHOOKD_ADMIN__PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", commands),
        cwd=folder,
        env=environment(env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    shell = Running(process)
    try:
        yield shell
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        await shell.wait()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_first_delivery_is_made_by_what_the_readme_says(
    room: Path, tmp_path: Path
) -> None:
    port = free_port()
    daemon_s, *others = pastes(port, free_port())

    async with pasted(daemon_s, room, tmp_path, port) as daemon:
        await daemon.line(lambda line: "service.started" in line, err=True)
        async with pasted("\n".join(others), room, tmp_path, port) as reader:
            code = await reader.wait()
        printed = "\n".join(reader.out)

    assert (code, "Traceback" in "".join(reader.err)) == (0, False)
    assert re.search(r"  valid +email\.opened +→ 200", printed)
    assert "matches 1 of the tenant's 1 active webhooks" in printed
    assert '"status":"success"' in printed
