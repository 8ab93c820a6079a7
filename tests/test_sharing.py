"""The pytest plugin with which several processes share a test run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commandline import ROOT

# The first test to run this starts the second process, and waits for it to end.
WAITING = """
import os, pathlib, subprocess, time
import pytest
FOLDER = pathlib.Path(__file__).parent

@pytest.fixture(scope="module")
def set_up_once():
    (FOLDER / "set-up").touch(exist_ok=False)
    yield
    (FOLDER / "torn-down").touch(exist_ok=False)

@pytest.mark.parametrize("number", range(3))
def test_waits(set_up_once, number):
    if "OTHER" in os.environ and number == 0:
        command = os.environ.pop("OTHER")
        subprocess.run(command, shell=True, check=True)
"""
# Importing the plugins of the suite's environment would take most of the time.
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
PLAIN = """
def test_passes(): pass
def test_fails(): assert {passes}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    for number, source in enumerate(
        [WAITING, PLAIN.format(passes=True), PLAIN.format(passes=False), PLAIN.format(passes=True)]
    ):
        (tmp_path / f"folder{number % 2}").mkdir(exist_ok=True)
        (tmp_path / f"folder{number % 2}" / f"test_{number}.py").write_text(source)
    (tmp_path / "share").mkdir()
    return tmp_path


def test_two_processes_run_each_file_once_and_leave_their_counts(project: Path) -> None:
    plugins = ["-p", "tests.support.sharing", f"--share={project / 'share'}"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, str(project)]
    other = " ".join([*command, f"> {project}/other", "|| test $? = 1"])

    first = subprocess.run(
        command, cwd=project, env={**ENVIRONMENT, "OTHER": other},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    printed = first.stdout + (project / "other").read_text()
    counts = [json.loads(file.read_text()) for file in (project / "share").glob("*.json")]
    assert sorted(each["passed"] for each in counts) == [3, 5], printed
    assert sum(each["failed"] for each in counts) == 1
    assert sum(each["error"] for each in counts) == 0
    assert printed.count("FAILED") == 1


def test_one_process_runs_all_files_of_a_folder_that_stays_together(project: Path) -> None:
    folder = project / "tests" / "console"
    folder.mkdir(parents=True)
    (folder / "test_a.py").write_text(WAITING)
    (folder / "test_b.py").write_text(PLAIN.format(passes=True))
    plugins = ["-p", "tests.support.sharing", f"--share={project / 'share'}"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, str(project)]
    other = " ".join([*command, f"> {project}/other", "|| test $? = 1"])

    first = subprocess.run(
        command, cwd=project, env={**ENVIRONMENT, "OTHER": other},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    printed = first.stdout + (project / "other").read_text()
    counts = [json.loads(file.read_text()) for file in (project / "share").glob("*.json")]
    assert sorted(each["passed"] for each in counts) == [5, 8], printed


def test_a_file_that_cannot_be_imported_is_an_error_and_the_others_run(project: Path) -> None:
    (project / "folder0" / "test_0.py").write_text("import no_such_module")
    sharing = ["-p", "tests.support.sharing", f"--share={project / 'share'}"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *sharing, str(project)], cwd=project,
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    [counts] = [json.loads(file.read_text()) for file in (project / "share").glob("*.json")]
    assert (counts["error"], counts["failed"], counts["passed"]) == (1, 1, 5), done.stdout
    assert done.returncode == 1


def test_a_process_without_a_test_to_run_passes(project: Path) -> None:
    sharing = ["-p", "tests.support.sharing", f"--share={project / 'share'}"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *sharing, "-k", "nothing", str(project)],
        cwd=project, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


def test_without_the_option_every_test_runs_as_usual(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.sharing", str(project)]

    done = subprocess.run(
        command, cwd=project, env=ENVIRONMENT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "1 failed, 8 passed" in done.stdout
