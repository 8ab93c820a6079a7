"""The wheel and the source distribution are complete."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import asyncpg
import pytest

import hatch_build
from daemon.runtime.package_data import shipped_files
from daemon.store import migrations
from daemon.store.errors import describe
from tests.conftest import ORIGINAL_ENVIRONMENT

ROOT = Path(__file__).parents[1]
# npm finds no registry.
OFFLINE = {"npm_config_registry": "http://127.0.0.1:9", "npm_config_offline": "true"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _build("wheel", ROOT, folder)
    [built] = folder.glob("*.whl")
    return built


def _build(target: str, root: Path, folder: Path, env: dict[str, str] | None = None) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(build, cwd=root, check=True, capture_output=True, env=env)


def test_the_wheel_contains_migrations_example_configuration_and_unit(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "daemon/bundled/migrations/0001_webhooks.sql" in names
    assert "daemon/bundled/sql/roles.sql" in names
    assert "daemon/bundled/config.example.toml" in names
    assert "daemon/notifications/email/templates/notice.html" in names
    assert "daemon/admin/templates/console/layout.html" in names
    assert "daemon/admin/static/console.css" in names
    assert "daemon/bundled/systemd/penguinmails-webhooks.service" in names
    assert "daemon/bundled/systemd/webhookd-admin" in names
    assert "daemon/bundled/docs/operations.md" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_a_source_distribution_has_the_consoles_script_and_builds_without_network(
    wheel: Path, tmp_path: Path
) -> None:
    _build("sdist", ROOT, tmp_path)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    [unpacked] = [each for each in tmp_path.iterdir() if each.is_dir()]

    _build("wheel", unpacked, tmp_path, env=os.environ | OFFLINE)

    script = zipfile.ZipFile(wheel).read(hatch_build.SCRIPT)
    [rebuilt] = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(rebuilt).namelist() == zipfile.ZipFile(wheel).namelist()
    assert zipfile.ZipFile(rebuilt).read(hatch_build.SCRIPT) == script
    assert hatch_build.has_script(unpacked)


def test_a_script_that_was_changed_is_brought_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _checkout_of_frontend(tmp_path / "checkout")
    monkeypatch.setattr(hatch_build, "_npm", lambda: _fake_npm(tmp_path, ROOT / hatch_build.SCRIPT))
    (root / hatch_build.SCRIPT).write_text("steal(document.cookie)")
    assert not hatch_build.has_script(root)

    hatch_build.bring_script(root)

    assert hatch_build.has_script(root)
    assert [each.name for each in (root / hatch_build.SCRIPT).parent.iterdir()] == ["htmx.min.js"]


def test_a_script_with_another_hash_than_the_recorded_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _checkout_of_frontend(tmp_path / "checkout")
    (tmp_path / "other.js").write_text("steal(document.cookie)")
    monkeypatch.setattr(hatch_build, "_npm", lambda: _fake_npm(tmp_path, tmp_path / "other.js"))

    with pytest.raises(RuntimeError, match=r"is not that of frontend/scripts\.sha256"):
        hatch_build.bring_script(root)

    assert not (root / hatch_build.SCRIPT).exists()


@pytest.mark.full
@pytest.mark.timeout(300)
def test_npm_brings_the_script_by_its_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _checkout_of_frontend(tmp_path / "checkout")
    for name, value in ORIGINAL_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    hatch_build.bring_script(root)

    assert hatch_build.has_script(root)


def _checkout_of_frontend(root: Path) -> Path:
    """A checkout with nothing but what the script is brought by."""
    shutil.copytree(ROOT / "frontend", root / "frontend")
    (root / hatch_build.SCRIPT).parent.mkdir(parents=True)
    return root


def _fake_npm(folder: Path, script: Path) -> str:
    """A program that installs a package with this script."""
    program = folder / "npm"
    target = Path(hatch_build.SOURCE)
    program.write_text(f"#!/bin/sh\nmkdir -p '{target.parent}' && cp '{script}' '{target}'\n")
    program.chmod(0o755)
    return str(program)


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


def test_the_unpacked_wheel_lists_its_files_with_their_paths(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
    program = "import daemon.cli; daemon.cli.main()"

    listed = subprocess.run(
        [sys.executable, "-c", program, "files", "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "unpacked")},
        capture_output=True,
        check=True,
    )

    assert_ships_the_checkout(json.loads(listed.stdout), within=tmp_path / "unpacked")


def assert_ships_the_checkout(listed: list[dict[str, str]], *, within: Path) -> None:
    """The files are the checkout's, and lie in a folder."""
    contents = {each["name"]: Path(each["path"]).read_bytes() for each in listed}
    assert contents == {name: (ROOT / name).read_bytes() for name in shipped_files()}
    assert all(Path(each["path"]).is_relative_to(within) for each in listed)


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
    listed = subprocess.run(
        [python.with_name("webhookd"), "files", "--json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    complete = [*_pip(python), "check"]

    assert_ships_the_checkout(json.loads(listed.stdout), within=tmp_path / "v")
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
