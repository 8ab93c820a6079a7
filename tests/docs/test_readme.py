"""README.md: the commands of its first delivery work when a reader pastes them."""

import asyncio
import os
import re
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


def command_blocks(receiver: int) -> list[str]:
    """The blocks of shell commands, for a receiver at another port than that of the README."""
    text = (ROOT / "README.md").read_text().replace("9000", str(receiver))
    text = text.replace("listen --register", f"listen --register --port {receiver}")
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


async def test_the_commands_of_the_readme_make_a_first_delivery(
    install_dir: Path, tmp_path: Path
) -> None:
    port = free_port()
    run, listen, trigger = command_blocks(free_port())

    async with shell(run, install_dir, folder=tmp_path, port=port) as daemon:
        await daemon.line(lambda line: "service.started" in line, err=True)
        async with shell(listen, install_dir, folder=tmp_path, port=port) as listener:
            await listener.line(lambda line: "until this command ends" in line, err=True)
            async with shell(trigger, install_dir, folder=tmp_path, port=port) as publisher:
                code = await publisher.wait()
            [received] = await listener.lines(1)

    assert code == 0
    assert re.search(r"  valid +email\.opened +→ 200", received)
    assert "matches 1 of the tenant's 1 active webhooks" in "".join(publisher.out)
