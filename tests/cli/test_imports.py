"""
What the start of a command imports: each import costs CPU time, and people feel it.

Processes of their own: the forks in which other tests run commands have imported everything.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commandline import environment

# Each of them takes 20 to 200 ms.
HEAVY = {
    "aiohttp",
    "asyncio",
    "asyncpg",
    "cryptography",
    "daemon.admin",
    "daemon.embedded",
    "daemon.pipeline",
    "jinja2",
    "prometheus_client",
    "pydantic",
    "structlog",
    "uvloop",
}
OF_CONFIGURATION = {"asyncio", "pydantic", "structlog"}
OF_DATABASE = {*OF_CONFIGURATION, "asyncpg"}
PROGRAM = f"""
import atexit, sys
from daemon import cli
atexit.register(lambda: print("imported", *sorted({HEAVY} & sys.modules.keys())))
cli.main()
"""


def imported_by(out: str) -> set[str]:
    """Which of HEAVY a command has imported when it ends, from its output."""
    return {*out.splitlines()[-1].split()[1:]}


def imported(*arguments: str, folder: Path, env: dict[str, str] | None = None) -> set[str]:
    """Run a command that succeeds; return which of HEAVY it has imported when it ends."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder, env=environment(env), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return imported_by(ended.stdout)


def test_the_version_needs_nothing_heavy(tmp_path: Path) -> None:
    assert imported("--version", folder=tmp_path) == set()


def test_the_help_of_a_command_needs_no_logs_and_no_database(tmp_path: Path) -> None:
    # typer converts arguments with pydantic.
    assert imported("list", "--help", folder=tmp_path) == {"asyncio", "pydantic"}


def test_a_configuration_is_checked_without_what_checks_a_database(tmp_path: Path) -> None:
    needed = imported("check", "--only-configuration", folder=tmp_path)

    assert needed == OF_CONFIGURATION


@pytest.mark.parametrize("arguments", [["list"], ["hold", "--json"]], ids=" ".join)
def test_a_command_imports_the_database_but_no_daemon(
    tmp_path: Path, database: str, arguments: list[str]
) -> None:
    needed = imported(*arguments, folder=tmp_path, env={"DATABASE_URL": database})

    assert needed == OF_DATABASE


def test_no_plugin_of_pydantic_is_searched_for(tmp_path: Path) -> None:
    program = "import sys; from importlib import metadata; from daemon import cli\n"
    program += "metadata.distributions = lambda: sys.exit('searched')\ncli.main()"

    ended = subprocess.run(
        [sys.executable, "-c", program, "check", "--only-configuration"],
        cwd=tmp_path, env=environment(), capture_output=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_check_of_a_database_imports_the_cryptography_of_secrets(
    tmp_path: Path, database: str
) -> None:
    needed = imported("check", folder=tmp_path, env={"DATABASE_URL": database})

    assert needed == {*OF_DATABASE, "cryptography"}


def test_a_daemon_with_the_api_imports_all_of_it_but_the_embedded_postgresql(
    tmp_path: Path, database: str
) -> None:
    env = {
        "DATABASE_URL": database,
        "WEBHOOKD_ADMIN__PORT": "0",
        "WEBHOOKD_ADMIN__TOKENS": "a-token-of-an-operator",
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run"],
        cwd=tmp_path, env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as daemon:  # fmt: skip
        assert daemon.stdout is not None
        assert daemon.stderr is not None
        assert any("service.started" in line for line in daemon.stderr)
        daemon.send_signal(signal.SIGTERM)
        out = daemon.stdout.read()

    assert imported_by(out) == HEAVY - {"daemon.embedded"}
