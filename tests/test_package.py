"""The wheel is complete, and migrations can be applied in every supported way."""

import asyncio
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import asyncpg
import pytest

from daemon.core.errors import MigrationError, SchemaError
from daemon.runtime.package_data import package_file
from daemon.store import migrations
from daemon.store.errors import describe
from tests.conftest import ORIGINAL_ENVIRONMENT

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_contains_migrations_example_configuration_and_unit(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "daemon/bundled/migrations/0001_webhooks.sql" in names
    assert "daemon/bundled/config.example.toml" in names
    assert "daemon/notifications/email/templates/notice.html" in names
    assert "daemon/bundled/systemd/penguinmails-webhooks.service" in names
    assert not [name for name in names if name.startswith("tests/")]


async def test_the_unpacked_wheel_can_migrate_a_database(
    wheel: Path, tmp_path: Path, empty_database: str
) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
    env = {"PYTHONPATH": str(tmp_path / "unpacked"), "WEBHOOKD_DATABASE__URL": empty_database}
    program = "import daemon.cli; assert 'unpacked' in daemon.__file__; daemon.cli.main()"

    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "migrate"), cwd=tmp_path, env=env
    )

    assert await done.wait() == 0
    assert await migrations.migrate(empty_database) == []


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_deployment_from_the_lock_builds_nothing_and_has_all_it_needs(
    wheel: Path, tmp_path: Path
) -> None:
    python = _empty_environment(tmp_path)
    lock = ["--require-hashes", "--only-binary=:all:", "-r", str(ROOT / "requirements.lock")]
    _install(python, lock)
    _install(python, ["--no-deps", str(wheel)])

    shown = subprocess.run(
        [python.with_name("webhookd"), "--version"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    complete = [*_pip(python), "check"]

    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("webhookd ")
    subprocess.run(complete, cwd=tmp_path, check=True, env=ORIGINAL_ENVIRONMENT)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_the_lock_refuses_a_file_that_was_replaced(tmp_path: Path) -> None:
    python = _empty_environment(tmp_path)
    line = next(
        each for each in (ROOT / "requirements.lock").read_text().splitlines() if "mdurl==" in each
    )
    other = tmp_path / "other.lock"
    other.write_text(f"{line}\n    --hash=sha256:{'0' * 64}\n")

    with pytest.raises(subprocess.CalledProcessError) as refused:
        _install(python, ["--require-hashes", "-r", str(other)])

    assert b"THESE PACKAGES DO NOT MATCH THE HASHES" in refused.value.stderr


@pytest.mark.full
@pytest.mark.timeout(300)
def test_the_demo_runs_from_the_installed_wheel_in_an_empty_environment(
    wheel: Path, tmp_path: Path
) -> None:
    _install(_empty_environment(tmp_path), [f"{wheel}[embedded]"])

    demo = subprocess.run(
        [tmp_path / "v/bin/webhookd", "demo", "--seconds", "3"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert demo.returncode == 0, demo.stderr
    assert "email.opened" in demo.stdout


def _empty_environment(folder: Path) -> Path:
    """Make one in `folder/v`, and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "v"], cwd=folder, check=True)
    return folder / "v/bin/python"


def _install(python: Path, packages: list[str]) -> None:
    command = [*_pip(python), "install", "-q", "--no-compile", *packages]
    subprocess.run(
        command, cwd=python.parent, check=True, capture_output=True, env=ORIGINAL_ENVIRONMENT
    )


def _pip(python: Path) -> list[str]:
    """Return the pip of the interpreter that this environment was made from, for another one."""
    base = getattr(sys, "_base_executable", sys.executable)
    return [base, "-I", "-m", "pip", "--python", str(python)]


async def test_the_daemon_accepts_migrations_that_psql_has_run(
    empty_database: str,
) -> None:
    connection = await asyncpg.connect(empty_database)
    for migration in migrations.known():
        await connection.execute(migration.sql)

    missing = await migrations.migrate(empty_database)

    assert missing == []
    await migrations.verify(connection)
    assert (
        await connection.fetchval("SELECT count(*) FROM webhookd_migrations WHERE sha256 IS NULL")
        == 0
    )
    await connection.close()


async def test_concurrent_migrations_are_applied_once(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrations.migrate(empty_database) for _ in range(4)))

    assert sorted(len(names) for names in applied) == [0, 0, 0, len(migrations.known())]


async def test_a_dry_run_changes_nothing(empty_database: str) -> None:
    missing = await migrations.migrate(empty_database, dry_run=True)

    assert missing == migrations.known()
    assert await migrations.migrate(empty_database, dry_run=True) == missing


async def test_a_mistake_in_a_migration_is_reported_with_file_and_line(
    empty_database: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (\n    id INT,\n    b NOTYPE\n);\n")

    with pytest.raises(MigrationError, match=r'^0001_first\.sql:3: type "notype" does not exist'):
        await migrations.migrate(empty_database, folder=tmp_path)


async def test_a_migration_edited_after_it_was_applied_is_refused(
    empty_database: str, tmp_path: Path
) -> None:
    file = tmp_path / "0001_webhooks.sql"
    file.write_text((package_file("migrations") / "0001_webhooks.sql").read_text())
    await migrations.migrate(empty_database, folder=tmp_path)
    file.write_text(file.read_text() + "\n-- an afterthought\n")

    with pytest.raises(MigrationError, match="was edited after it was applied"):
        await migrations.migrate(empty_database, folder=tmp_path)


async def test_a_schema_that_is_behind_or_ahead_is_reported(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO webhookd_migrations (name) VALUES ('9999_future')")
    with pytest.raises(SchemaError, match="newer than this program"):
        await migrations.verify(connection)
    await connection.execute("DELETE FROM webhookd_migrations")
    with pytest.raises(SchemaError, match="run `webhookd migrate`"):
        await migrations.verify(connection)
    await connection.close()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (asyncpg.InterfaceError("closed\nand more"), "closed"),
        (asyncpg.PostgresError(), "PostgresError"),
        (
            ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 5432)"),
            "connection refused",
        ),
        (TimeoutError(), "no answer in time"),
    ],
)
def test_a_database_error_is_one_line_without_addresses(error: BaseException, message: str) -> None:
    assert describe(error) == message
