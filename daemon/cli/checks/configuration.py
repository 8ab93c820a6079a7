"""Which configuration file is in use."""

import os
from pathlib import Path

from daemon.cli.checks.finding import Finding, ok
from daemon.config.sources import CONFIG_VARIABLE, PLACES


def check_configuration(path: Path | None) -> Finding:
    """Name the file that `path`, the environment or the usual places lead to."""
    named = path or os.environ.get(CONFIG_VARIABLE)
    file = Path(named) if named else next((place for place in PLACES if place.exists()), None)
    return ok("configuration", str(file) if file else "no file: only defaults and environment")
