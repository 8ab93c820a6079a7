"""Which configuration file is in use."""

import os
from pathlib import Path

from daemon.cli.checks.finding import Finding, ok
from daemon.config.toml_file import CONFIG_VARIABLE, DEFAULT_PATHS


def check_configuration(path: Path | None) -> Finding:
    """Name the file that `path`, the environment or the usual places lead to."""
    named = path or os.environ.get(CONFIG_VARIABLE)
    file = Path(named) if named else next((path for path in DEFAULT_PATHS if path.exists()), None)
    return ok("configuration", str(file) if file else "no file: only defaults and environment")
