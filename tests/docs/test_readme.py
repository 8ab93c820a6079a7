"""README.md: the commands of its first delivery work when a reader pastes them."""

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

# `webhookd` as installed, except for the folder of its database.
WEBHOOKD = f"""#!{sys.executable}
import os, pathlib
from daemon import cli, embedded
embedded.default_data_dir = lambda: pathlib.Path(os.environ["INSTALL_DIR"], "postgres")
cli.main()
"""


@pytest.fixture
def install_dir() -> Iterator[Path]:
    with folder_for_postgres() as folder:
        program = folder / "bin" / "webhookd"
        program.parent.mkdir()
        program.write_text(WEBHOOKD)
        program.chmod(0o755)
        yield folder


def command_blocks(api: int, receiver: int) -> list[str]:
    """The blocks of shell commands, with the given ports in place of those of the README."""
    text = (ROOT / "README.md").read_text().replace("8484", str(api)).replace("9000", str(receiver))
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@asynccontextmanager
async def shell(
    commands: str, install_dir: Path, folder: Path, port: int
) -> AsyncIterator[Running]:
    """Run the commands in a shell, and end it and its children with the block."""
    path = f"{install_dir / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "INSTALL_DIR": str(install_dir), "WEBHOOKD_ADMIN__PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", commands),
        cwd=folder,
        env=environment(env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    running = Running(process)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        await running.wait()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_of_the_readme_make_a_first_delivery(
    install_dir: Path, tmp_path: Path
) -> None:
    port = free_port()
    daemon_commands, *other_commands = command_blocks(port, free_port())

    async with shell(daemon_commands, install_dir, folder=tmp_path, port=port) as daemon:
        await daemon.line(lambda line: "service.started" in line, err=True)
        async with shell(
            "\n".join(other_commands), install_dir, folder=tmp_path, port=port
        ) as reader:
            code = await reader.wait()
        printed = "\n".join(reader.out)

    assert (code, "Traceback" in "".join(reader.err)) == (0, False)
    assert re.search(r"  valid +email\.opened +→ 200", printed)
    assert "matches 1 of the tenant's 1 active webhooks" in printed
    assert '"status":"success"' in printed
