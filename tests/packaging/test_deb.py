"""The Debian package: what dpkg reads, where files go, and, in the long form, what it runs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging import deb

pytestmark = pytest.mark.skipif(
    not Path("/usr/bin/dpkg-deb").exists(), reason="dpkg-deb is not installed"
)


def test_a_package_without_the_program_has_the_other_files_in_debian_s_places(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree"
    deb.install_files(tree)
    deb.write_control(tree, "0.1.0", "3.11")
    package = tmp_path / "x.deb"

    build = ["dpkg-deb", "-Zgzip", "--root-owner-group", "--build", str(tree), str(package)]
    subprocess.run(build, check=True, capture_output=True)

    contents = deb.output("dpkg-deb", "--contents", str(package))
    for place in (
        "./lib/systemd/system/penguinmails-webhooks.service",
        "./lib/systemd/system/penguinmails-webhooks.socket",
        "./lib/systemd/system/webhookd@.service",
        "./usr/lib/sysusers.d/penguinmails-webhooks.conf",
        "./usr/lib/tmpfiles.d/penguinmails-webhooks.conf",
        "./usr/share/man/man1/webhookd.1.gz",
        "./usr/share/man/man8/webhookd-admin.8.gz",
        "./usr/share/bash-completion/completions/webhookd",
    ):
        assert f" {place}\n" in f"{contents}\n"
    assert "-rwxr-xr-x root/root" in next(
        line for line in contents.splitlines() if line.endswith("/usr/sbin/webhookd-admin")
    )
    depends = deb.output("dpkg-deb", "--field", str(package), "Depends")
    assert "python3 (>= 3.11), python3 (<< 3.12)" in depends


def test_the_packaged_units_run_the_packaged_program(tmp_path: Path) -> None:
    deb.install_files(tmp_path)

    for name in ("penguinmails-webhooks.service", "webhookd@.service"):
        unit = (tmp_path / "lib/systemd/system" / name).read_text()
        assert unit.startswith("[Unit]\n")
        assert "ExecStart=/usr/lib/penguinmails-webhooks/bin/webhookd run" in unit
        assert "/opt/" not in unit


@pytest.mark.full
@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_finds_nothing_in_a_package_without_the_program(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    deb.install_files(tree)
    deb.write_control(tree, "0.1.0", "3.11")
    package = tmp_path / "x.deb"
    build = ["dpkg-deb", "-Zgzip", "--root-owner-group", "--build", str(tree), str(package)]
    subprocess.run(build, check=True, capture_output=True)

    found = subprocess.run(
        ["lintian", "--allow-root", str(package)], capture_output=True, text=True, check=False
    )

    # What is overridden for the program is not there.
    lines = [each for each in found.stdout.splitlines() if "mismatched-override" not in each]
    assert [each for each in lines if each[:2] in {"E:", "W:"}] == []


@pytest.mark.parametrize("script", deb.maintainer_scripts(), ids=lambda path: path.name)
def test_the_scripts_of_the_package_are_shell(script: Path) -> None:
    parsed = subprocess.run(["sh", "-n", str(script)], capture_output=True, check=False)

    assert (parsed.returncode, parsed.stderr) == (0, b"")


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_built_package_runs_from_a_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if deb.python_version(deb.SYSTEM_PYTHON) != deb.python_version(Path("python3")):
        pytest.skip("the tests run with another Python than the system's")
    deb.main([str(tmp_path)])
    [package] = tmp_path.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", str(package), str(tmp_path / "root")], check=True)
    python = tmp_path / "root" / deb.HOME / "bin" / "python"
    (tmp_path / "root/usr/bin" / python.readlink().name).symlink_to(deb.SYSTEM_PYTHON)

    version = deb.output(str(python), "-I", "-m", "daemon", "--version")

    assert str(package) in capfd.readouterr().out
    assert version.startswith("webhookd ")
