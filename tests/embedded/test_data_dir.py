"""The data directory: its default and its checks."""

import os
from pathlib import Path

import pytest

from daemon import embedded
from daemon.core.errors import EmbeddedPostgresError
from tests.embedded.processes import as_user


async def test_a_missing_password_file_is_named(data: Path) -> None:
    (data / "password").unlink()

    with pytest.raises(EmbeddedPostgresError, match="password is missing"):
        await embedded.start(data)


async def test_a_directory_with_other_files_is_refused_and_left_unchanged(directory: Path) -> None:
    (directory / "thesis.tex").touch()

    with pytest.raises(EmbeddedPostgresError, match="is not empty"):
        await embedded.start(directory)

    assert os.listdir(directory) == ["thesis.tex"]


@as_user
async def test_a_directory_that_cannot_be_created_is_named(
    directory: Path,
) -> None:
    os.chmod(directory, 0o500)

    with pytest.raises(EmbeddedPostgresError, match=f"{directory}.*Permission denied"):
        await embedded.start(directory / "postgres")


def test_the_default_directory_is_the_system_s_for_root_and_the_user_s_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert str(embedded.default_data_dir()) == "/var/lib/penguinmails-webhooks/postgres"

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert str(embedded.default_data_dir()).startswith("/home/someone/.local/share/penguinmails")

    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    assert str(embedded.default_data_dir()) == "/srv/data/penguinmails-webhooks/postgres"
