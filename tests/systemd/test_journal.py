"""Where stderr is the journal, each line begins with its level as the journal reads it."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.support.commandline import environment

PROGRAM = """
import sys, structlog
from daemon import logs
logs.configure(sys.argv[1], "debug")
log = structlog.get_logger()
for level in ("debug", "info", "warning", "error", "critical"):
    getattr(log, level)("thing.happened")
try:
    raise ValueError("two\\nlines")
except ValueError:
    log.exception("thing.failed")
"""


async def written_by(*arguments: str, folder: Path, journal: bool) -> list[str]:
    """Run Python with a stream socket as its stderr, as systemd does; returns the lines."""
    ours, theirs = socket.socketpair()
    file = os.fstat(theirs.fileno())
    named = f"{file.st_dev}:{file.st_ino}" if journal else "1:1"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=folder,
        env=environment({"JOURNAL_STREAM": named}),
        stderr=theirs.fileno(),
    )
    theirs.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    text = await reader.read()
    writer.close()
    await process.wait()
    return text.decode().splitlines()


async def test_the_journal_gets_the_level_of_each_line(tmp_path: Path) -> None:
    lines = await written_by("-c", PROGRAM, "json", folder=tmp_path, journal=True)

    assert [line[:4] for line in lines] == [f"<{n}>{{" for n in (7, 6, 4, 3, 2, 3)]


async def test_each_line_of_a_traceback_has_the_level(tmp_path: Path) -> None:
    lines = await written_by("-c", PROGRAM, "console", folder=tmp_path, journal=True)

    assert lines[5:]
    assert all(line.startswith("<3>") for line in lines[5:])


@pytest.mark.parametrize("journal", [True, False])
async def test_a_mistake_in_the_configuration_is_an_error_in_the_journal(
    journal: bool, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text("[log]\nlevel = 'loud'\n")

    [line] = await written_by(
        *("-m", "daemon", "run", "--no-embedded"), folder=tmp_path, journal=journal
    )

    start = "<3>" if journal else ""
    assert line.startswith(f"{start}webhookd: config.toml:2: log.level")


async def test_a_pipe_that_is_not_the_journal_gets_plain_lines(tmp_path: Path) -> None:
    lines = await written_by("-c", PROGRAM, "json", folder=tmp_path, journal=False)

    assert all(line.startswith("{") for line in lines)
