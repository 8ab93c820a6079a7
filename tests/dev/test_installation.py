"""The installation into `.venv` before a command runs."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.dev.checkout import Checkout


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def installations(checkout: Checkout) -> int:
    """How many were completed: the project is installed last."""
    return len([call for call in checkout.calls("pip") if "--editable" in call])


def test_the_first_run_installs_the_locked_packages_and_the_project_without_any_other(
    checkout: Checkout,
) -> None:
    code, printed = checkout.run("demo", "--seconds", "3")

    assert code == 7
    assert printed.startswith("Preparing .venv")
    assert '"arguments": ["demo", "--seconds", "3"]' in printed
    locked, project = checkout.calls("pip")
    for call in (locked, project):
        assert call[:4] == ["pip", "--python", f"{checkout.root}/.venv/bin/python", "install"]
        assert "--no-deps" in call
    assert "--require-hashes" in locked
    assert locked[-2:] == ["--requirement", f"{checkout.root}/requirements-dev.lock"]
    assert "--no-build-isolation" in project
    assert project[-2:] == ["--editable", str(checkout.root)]


def test_the_second_run_installs_nothing_and_prints_nothing(checkout: Checkout) -> None:
    checkout.run("run")

    _, printed = checkout.run("run")

    assert installations(checkout) == 1
    assert printed.startswith('{"arguments": []')


@pytest.mark.parametrize(
    "changed",
    [
        "pyproject.toml",
        "requirements-dev.lock",
        "frontend/package-lock.json",
        "daemon/admin/static/htmx.min.js",
    ],
)
def test_a_changed_pyproject_lock_or_script_is_installed_into_the_same_venv(
    checkout: Checkout, changed: str
) -> None:
    (checkout.root / changed).parent.mkdir(parents=True, exist_ok=True)
    checkout.run("run")
    kept = checkout.root / ".venv" / "kept"
    kept.touch()
    with (checkout.root / changed).open("a") as file:
        file.write("# changed\n")

    checkout.run("run")

    assert installations(checkout) == 2
    assert kept.exists()


def test_a_half_made_venv_is_cleared(checkout: Checkout) -> None:
    left = checkout.root / ".venv" / "lib" / "half"
    left.mkdir(parents=True)
    (checkout.root / ".venv" / "bin").mkdir()
    (checkout.root / ".venv" / "bin" / "python").symlink_to("/nonexistent/python")

    code, _ = checkout.run("run")

    assert code == 7
    assert not left.exists()


def test_a_killed_installation_is_repeated_in_a_cleared_venv(checkout: Checkout) -> None:
    (checkout.site / "hold").touch()
    with checkout.start("run") as killed:
        until(lambda: bool(checkout.calls("pip")))
        os.killpg(killed.pid, signal.SIGKILL)
    (checkout.root / ".venv" / "half").touch()
    (checkout.site / "hold").unlink()

    code, _ = checkout.run("run")

    assert code == 7
    assert installations(checkout) == 1
    assert not (checkout.root / ".venv" / "half").exists()


@pytest.mark.parametrize("step", ["--requirement", "--editable"])
def test_a_failed_installation_is_reported_in_one_sentence_and_tried_again(
    checkout: Checkout, step: str
) -> None:
    (checkout.site / f"pip-fails{step}").touch()
    code, printed = checkout.run("run")
    (checkout.site / f"pip-fails{step}").unlink()

    second, _ = checkout.run("run")

    assert code == 1
    assert printed.splitlines()[-1].startswith("pip could not install")
    assert "Traceback" not in printed
    assert second == 7


def test_a_moved_checkout_is_installed_again(checkout: Checkout) -> None:
    checkout.run("run")
    moved = Checkout(checkout.root.with_name("moved"), checkout.site)
    checkout.root.rename(moved.root)

    moved.run("run")

    assert installations(checkout) == 2


def test_only_one_of_two_concurrent_first_runs_installs_and_both_run(checkout: Checkout) -> None:
    (checkout.site / "hold").touch()
    with checkout.start("run") as first:
        until(lambda: bool(checkout.calls("pip")))
        with checkout.start("run") as second:
            assert second.stdout
            waiting = second.stdout.readline()
            (checkout.site / "hold").unlink()
            second.communicate(timeout=60)
        first.communicate(timeout=60)

    assert "waiting" in waiting
    assert (first.returncode, second.returncode) == (7, 7)
    assert installations(checkout) == 1


def test_a_python_without_pip_is_reported_in_one_sentence(checkout: Checkout) -> None:
    for name in ("pip", "ensurepip"):
        (checkout.site / f"{name}.py").write_text("raise ImportError")

    code, printed = checkout.run("demo")

    assert code == 1
    assert "has no pip" in printed.splitlines()[-1]
    assert "Traceback" not in printed


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
def test_a_read_only_checkout_is_reported_in_one_sentence(checkout: Checkout) -> None:
    checkout.root.chmod(0o500)

    code, printed = checkout.run("demo")

    checkout.root.chmod(0o700)
    assert code == 1
    assert len(printed.splitlines()) == 1
    assert "cannot be written by this user" in printed


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
def test_a_read_only_checkout_works_when_everything_is_installed(checkout: Checkout) -> None:
    checkout.run("run")
    checkout.root.chmod(0o500)

    code, _ = checkout.run("run")

    checkout.root.chmod(0o700)
    assert code == 7


def test_npm_packages_are_installed_once_per_change_of_their_lock_file(
    checkout: Checkout,
) -> None:
    lock = checkout.root / "tests" / "receivers" / "package-lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text("{}")

    checkout.run("test", "-x")
    checkout.run("test", "-x")
    lock.write_text("{ }")
    (checkout.site / "npm-fails").touch()
    failed, printed = checkout.run("test", "-x")
    (checkout.site / "npm-fails").unlink()
    checkout.run("test", "-x")

    wanted = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    assert checkout.calls("npm") == [wanted] * 3
    assert failed == 1
    assert f"{lock.parent}\nnpm found a mistake" in printed.replace("npm found nothing\n", "")
