"""Load the configuration: every source in order of precedence, then one check of everything."""

import os
from collections.abc import Mapping
from pathlib import Path

from daemon.config.config import Config
from daemon.config.credential_files import read_credentials
from daemon.config.draft import Draft
from daemon.config.environment import read_database_url, read_variables
from daemon.config.toml_file import read_toml_file


def load(path: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Config:
    """
    Read the settings from `path`, or else from the first default path that has a file.

    Raises ConfigError, which holds every mistake as a line: `config.toml:12: delivery.timeout: …`.
    """
    draft = Draft()
    # Weakest first: each source overwrites the ones before it.
    read_toml_file(draft, path, environ)
    read_database_url(draft, environ)
    read_credentials(draft, environ)
    read_variables(draft, environ)
    return draft.validate()
