"""Other revisions and interpreters, and the programs that are run of them."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.bench.variants import (
    ROOT,
    FailedProgramError,
    UnusableVariantError,
    exported,
    on_python,
    output_of,
)
from tests.support.daemons import until

IS_CHECKOUT = subprocess.run(["git", "-C", ROOT, "rev-parse"], capture_output=True, check=False)
needs_git = pytest.mark.skipif(IS_CHECKOUT.returncode != 0, reason="this is no clone")


@needs_git
def test_another_revision_is_exported_with_its_own_code_and_migrations(tmp_path: Path) -> None:
    variant = exported("HEAD", tmp_path)

    command = [variant.python, "-c", "import daemon; print(daemon.__file__)"]
    done = subprocess.run(command, cwd=variant.root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(variant.root / "daemon" / "__init__.py")
    assert list((variant.root / "migrations").glob("0001_*.sql"))


@needs_git
def test_an_unknown_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableVariantError, match="no-such-revision"):
        exported("no-such-revision", tmp_path)


def test_an_interpreter_is_named_by_its_version() -> None:
    variant = on_python(sys.executable)

    assert variant.name == "python{}.{}".format(*sys.version_info)
    assert (variant.root, variant.python) == (ROOT, sys.executable)


async def test_a_programs_output_is_returned_and_its_errors_are_raised(tmp_path: Path) -> None:
    async def printed(program: str) -> bytes:
        command = [sys.executable, "-c", program]
        return await output_of(command, cwd=tmp_path, environment=dict(os.environ))

    assert await printed("import os; print(os.getcwd())") == f"{tmp_path}\n".encode()
    with pytest.raises(FailedProgramError, match="no luck"):
        await printed("raise SystemExit('no luck')")


async def test_a_program_ends_when_nothing_waits_for_it(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    program = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    command = [sys.executable, "-c", program]
    task = asyncio.create_task(output_of(command, cwd=tmp_path, environment=dict(os.environ)))
    await until(lambda: file.exists() and file.read_text())

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(int(file.read_text()))
