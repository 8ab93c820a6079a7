from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _empty_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = (Path("config.toml"), Path("etc.toml"))
    monkeypatch.setattr("daemon.config.toml_file.DEFAULT_PATHS", paths)
