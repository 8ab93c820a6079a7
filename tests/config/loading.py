"""Load a configuration from text: `config.toml` and credentials in the current directory."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon.config import Config, load
from daemon.core.errors import ConfigError


def loaded(toml: str = "", **environ: str) -> Config:
    Path("config.toml").write_text(toml)
    return load(environ=environ)


def mistakes(toml: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(toml, **environ)
    return caught.value.mistakes


def credentials(files: Mapping[str, str | bytes]) -> str:
    folder = Path("credentials")
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)
