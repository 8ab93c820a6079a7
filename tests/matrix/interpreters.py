"""Interpreters by minor version, each with the packages of the lock file in a folder of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
MINORS = (11, 12, 13, 14)
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


@contextmanager
def interpreter(minor: int) -> Iterator[Path | None]:
    """Yield a Python 3.`minor` that can run the tests; None if this machine has none."""
    if sys.version_info[:2] == (3, minor):
        yield Path(sys.executable)
        return
    found = next((each for each in _candidates(minor) if _is(each, minor)), None)
    if found is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="webhookd-matrix-") as folder:
        yield _prepared(found, Path(folder))


def _candidates(minor: int) -> Iterator[Path]:
    if on_path := shutil.which(f"python3.{minor}"):
        yield Path(on_path)
    yield from Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python3")


def _is(python: Path, minor: int) -> bool:
    done = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=False)
    return done.stdout.strip() == f"3.{minor}"


def _prepared(python: Path, folder: Path) -> Path:
    """Install the packages. Raises CalledProcessError."""
    own = folder / "bin" / "python"
    install = (python, "-m", "pip", "--python", own, "install", "--quiet", "--no-deps")
    environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for command in (
        (python, "-m", "venv", "--without-pip", folder),
        (*install, "--require-hashes", "--requirement", ROOT / "requirements-dev.lock"),
        (*install, "--no-build-isolation", "--editable", ROOT),
    ):
        subprocess.run(command, check=True, env=environment)
    return own
