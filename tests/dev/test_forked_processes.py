"""Commands that tests start as forks behave as those that Python starts."""

import asyncio
import os
import shlex
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from tests.support import forked_process
from tests.support.commandline import environment
from tests.support.forked_process import shell_words

PROGRAM = """
import os, sys
print(sys.argv[1:], os.getcwd(), sorted(os.environ), sys.stdout.isatty(), sys.stdin.read())
print("an error", file=sys.stderr)
sys.exit(7)
"""


WAITING = """
import sys, time
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(3)
"""


async def test_a_fork_has_the_arguments_files_and_exit_code_of_a_new_process(
    tmp_path: Path,
) -> None:
    command = ("-c", PROGRAM, "one", "two")
    env = environment({"LC_CTYPE": "C.UTF-8", "NAMED": "x"})
    new = await asyncio.create_subprocess_exec(
        *(sys.executable, *command), cwd=tmp_path, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    fork = await forked_process.start(
        *command, cwd=tmp_path, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )

    assert await fork.communicate("ä".encode()) == await new.communicate("ä".encode())
    assert fork.returncode == new.returncode == 7


async def test_a_fork_is_ended_by_a_signal_and_an_interrupt_is_an_exception(tmp_path: Path) -> None:
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, 3)):
        fork = await forked_process.start(
            "-c", WAITING, env=environment(), cwd=tmp_path, stdout=PIPE
        )
        assert fork.stdout is not None
        await fork.stdout.readline()
        os.kill(fork.pid, number)

        assert await fork.wait() == code
        with pytest.raises(ProcessLookupError):
            fork.kill()


async def test_a_fork_has_no_files_of_the_process_that_forks(tmp_path: Path) -> None:
    listing = "import os; print(len(os.listdir('/proc/self/fd')))"
    fork = await forked_process.start(
        "-c", listing, env=environment(), cwd=tmp_path, stdout=PIPE, stderr=PIPE
    )

    assert await fork.communicate() == (b"4\n", b"")  # one is that of the folder


async def test_a_shell_s_command_is_a_fork_with_the_exit_code_and_the_signals_of_the_shell(
    tmp_path: Path,
) -> None:
    script = f"{shlex.join(shell_words('-c', PROGRAM))} one; echo $?; exec {{}}"
    waiting = shlex.join(shell_words("-c", WAITING))
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-c", script.format(waiting)),
        cwd=tmp_path, env=environment(), stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert shell.stdout is not None
    lines = [(await shell.stdout.readline()).decode() for _ in range(3)]
    shell.send_signal(signal.SIGINT)
    _, err = await shell.communicate()

    assert lines[0].startswith(f"['one'] {tmp_path} ['HOME', ")
    assert lines[1:] == ["7\n", "ready\n"]
    assert (shell.returncode, err) == (3, b"an error\n")
