"""
What is compared: the daemon of this checkout, of another revision, or on another Python.

The driver, the receiver and the loads are always those of this checkout.
"""

import asyncio
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# An administrator's configuration in the current folder must not be read.
NO_SETTINGS = "[admin]\nport = 0\n"


class UnusableVariantError(Exception):
    """The revision or the interpreter cannot be used; `str()` says why."""


class FailedProgramError(Exception):
    """A program failed; `str()` has its command and its errors."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A daemon: the folder of its code, which includes its migrations, and its Python."""

    name: str
    root: Path
    python: str


def this_checkout() -> Variant:
    """Return the daemon of this checkout."""
    return Variant("daemon", ROOT, sys.executable)


def on_python(python: str) -> Variant:
    """
    Return the daemon of this checkout on another interpreter, which has the same packages.

    Raises UnusableVariantError.
    """
    program = "import sys, asyncpg, uvloop; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UnusableVariantError(f"{python}: {error.strerror}") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["it is no Python"]
        raise UnusableVariantError(f"{python}: {reason[-1]}")
    return Variant(f"python{done.stdout.strip()}", ROOT, python)


def exported(revision: str, folder: Path) -> Variant:
    """
    Return the daemon of another revision, whose files are written to `folder`.

    It runs with the installed packages. Raises UnusableVariantError.
    """
    name = _git("rev-parse", "--short", "--verify", f"{revision}^{{commit}}").decode().strip()
    root = folder / f"revision-{name}"
    with tarfile.open(fileobj=io.BytesIO(_git("archive", name))) as archive:
        archive.extractall(root, filter="data")
    return Variant(name, root, sys.executable)


async def migrate(variant: Variant, database: str, folder: Path) -> None:
    """Apply the variant's own migrations. Raises FailedProgramError."""
    await run_command(variant, database, folder, "migrate")


async def run_command(variant: Variant, database: str, folder: Path, *arguments: str) -> None:
    """Run a command of the variant's `webhookd`. Raises FailedProgramError."""
    config = folder / "commands.toml"
    config.write_text(NO_SETTINGS)
    command = [variant.python, "-m", "daemon", *arguments, "--config", str(config)]
    environment = os.environ | {"WEBHOOKD_DATABASE__URL": database}
    await output_of(command, cwd=variant.root, environment=environment)


async def output_of(command: Sequence[str], *, cwd: Path, environment: dict[str, str]) -> bytes:
    """
    Run a program, and return what it printed; it ends with the caller.

    Raises FailedProgramError.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise FailedProgramError(f"{' '.join(command)}: {errors.decode().strip()}")
    return output


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise UnusableVariantError(f"{arguments[-1]}: {done.stderr.decode().strip()}")
    return done.stdout
