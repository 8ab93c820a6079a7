"""`webhookd files` lists, prints and copies what ships with the program."""

import os
import sys
from pathlib import Path

import pytest

from daemon import cli
from daemon.runtime.package_data import package_file, shipped_files


def files(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["webhookd", "files", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_every_file_in_the_folders_of_the_package_has_a_use() -> None:
    folders = ("systemd", "sql", "migrations", "completions", "man", "docs")

    unused = [
        name
        for folder in folders
        for file in package_file(folder).rglob("*")
        if file.is_file()
        and (name := file.relative_to(package_file("")).as_posix()) not in shipped_files()
    ]

    assert unused == []


def test_the_list_says_where_the_files_are_and_what_they_are_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = files(monkeypatch)

    first, *lines = capsys.readouterr().out.splitlines()
    assert (code, first) == (0, f"in {package_file('')}:")
    assert [line.split()[0] for line in lines] == list(shipped_files())
    assert any(
        line.split(maxsplit=1) == ["sql/roles.sql", "for psql, as a superuser"] for line in lines
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("sql/roles.sql", "sql/roles.sql"),
        ("roles.sql", "sql/roles.sql"),
        ("console-event.png", "docs/images/console-event.png"),
    ],
)
def test_a_file_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    name: str,
    path: str,
) -> None:
    code = files(monkeypatch, name)

    sys.stdout.flush()
    assert (code, capfdbinary.readouterr().out) == (0, package_file(path).read_bytes())


def test_a_copy_keeps_the_mode_and_replaces_nothing_unasked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = files(monkeypatch, "webhookd-admin", "--to", tmp_path)
    copy = tmp_path / "webhookd-admin"
    copy.write_text("my own")
    refused = files(monkeypatch, "webhookd-admin", "--to", copy)
    kept = copy.read_text()
    forced = files(monkeypatch, "webhookd-admin", "--to", copy, "--force")

    out, err = capsys.readouterr()
    assert (made, refused, forced) == (0, 2, 0)
    assert (kept, err) == ("my own", f"webhookd: {copy} exists already: --force replaces it\n")
    assert copy.read_bytes() == package_file("systemd/webhookd-admin").read_bytes()
    assert os.access(copy, os.X_OK)
    assert out == f"{copy}\n{copy}\n"


def test_a_folder_that_does_not_exist_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "sysusers.d" / "webhooks.conf"

    code = files(monkeypatch, "penguinmails-webhooks.sysusers.conf", "--to", target)

    assert code == 0
    assert target.exists()


def test_a_folder_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "roles.sql"

    code = files(monkeypatch, "roles.sql", "--to", target)

    assert code == 1
    assert capsys.readouterr().err == f"webhookd: cannot write {target}: File exists\n"


def test_the_list_fits_into_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files(monkeypatch)

    _, *lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
