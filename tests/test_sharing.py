"""Two processes of pytest that share a run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commandline import ROOT

# Each test leaves a mark. The first process stops at a gate, within which the second runs.
GATE = """
import os, pathlib, subprocess, time
import pytest
FOLDER = pathlib.Path(__file__).parent

@pytest.fixture(scope="module")
def made():
    (FOLDER / "made").touch(exist_ok=False)
    yield
    (FOLDER / "unmade").touch(exist_ok=False)

@pytest.mark.parametrize("number", range(3))
def test_gate(made, number):
    if "OTHER" in os.environ and number == 0:
        command = os.environ.pop("OTHER")
        subprocess.run(command, shell=True, check=True)
"""
PLAIN = """
def test_passes(): pass
def test_fails(): assert {passes}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    for number, source in enumerate(
        [GATE, PLAIN.format(passes=True), PLAIN.format(passes=False), PLAIN.format(passes=True)]
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
        command, cwd=project, env={"PYTHONPATH": str(ROOT), "OTHER": other},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    printed = first.stdout + (project / "other").read_text()
    counts = [json.loads(file.read_text()) for file in (project / "share").glob("*.json")]
    assert sorted(each["passed"] for each in counts) == [3, 5], printed
    assert sum(each["failed"] for each in counts) == 1
    assert sum(each["error"] for each in counts) == 0
    assert printed.count("FAILED") == 1


def test_without_a_folder_it_is_pytest_as_ever(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.sharing", str(project)]

    done = subprocess.run(
        command, cwd=project, env={"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "1 failed, 8 passed" in done.stdout
