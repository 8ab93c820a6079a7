"""
`dev.py`, on a small project where pip and the tools are stand-ins that write down their calls.

What they stand in for, the real install, is what runs these tests.
"""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

DEV = Path(__file__).parent.parent / "dev.py"

# Writes down how it was called, waits while `hold` exists, then puts tools into the venv.
PIP = """
import json, pathlib, sys, time
if __name__ == "__main__":
    site = pathlib.Path(__file__).parent
    with (site / "calls").open("a") as calls:
        print(json.dumps(["pip", *sys.argv[1:]]), file=calls)
    while (site / "hold").exists():
        time.sleep(0.01)
    if (site / "pip-fails").exists():
        sys.exit("no such package")
    folder = pathlib.Path(sys.argv[sys.argv.index("--python") + 1]).parent
    for name in ("ruff", "mypy", "lint-imports", "npm"):
        (folder / name).write_text(f"#!{sys.executable}\\n" + (site / "tool.py").read_text())
        (folder / name).chmod(0o755)
"""
TOOL = """
import json, os, pathlib, shutil, sys
name = pathlib.Path(sys.argv[0]).name
site = pathlib.Path(os.environ["PYTHONPATH"])
with (site / "calls").open("a") as calls:
    print(json.dumps([name, *sys.argv[1:]]), file=calls)
if name == "npm":
    assert shutil.which("npm") == sys.argv[0]
    print(os.getcwd())
if (site / f"{name}-fails").exists():
    sys.exit(f"{name} found a mistake")
print(f"{name} is content")
"""
PYTEST = """
import os, pathlib, sys
site = pathlib.Path(os.environ["PYTHONPATH"])
if (site / "pytest-hangs").exists():
    import signal, time
    try:
        print("arguments", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        time.sleep(0.5)
        print("tidied up", flush=True)
        sys.exit(2)
print("arguments", sys.argv[1:], flush=True)
marks = sys.argv[-1]
fails = (site / "pytest-fails").exists() or (site / f"pytest-fails-{marks.split()[0]}").exists()
shares = [word.partition("=")[2] for word in sys.argv if word.startswith("--share=")]
if shares and not (site / "pytest-dies").exists():
    import json
    counts = {"failed": int(fails), "passed": 2, "skipped": 0}
    share = pathlib.Path(shares[0])
    (share / f"{os.getpid()}.json").write_text(json.dumps(counts))
print("one of pytest's failures" if fails else "all of pytest's tests passed")
sys.exit(int(fails) * 3)
"""
DAEMON = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "cwd": os.getcwd(), "pid": os.getpid()}), flush=True)
sys.exit(7)
"""


@dataclass(frozen=True)
class Project:
    """A checkout with nothing in it but dev.py, and `site`, which every Python of it looks into."""

    root: Path
    site: Path

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, self.root / "dev.py", *arguments],
            cwd=cwd or self.root,
            env={**os.environ, "PYTHONPATH": str(self.site)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
        with self.start(*arguments, cwd=cwd) as process:
            printed, _ = process.communicate(timeout=60)
        return process.returncode, printed

    def calls(self, tool: str | None = None) -> list[list[str]]:
        """How the stand-ins were called, each as its name and its arguments."""
        file = self.site / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [call for call in map(json.loads, lines) if tool in {None, call[0]}]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root, site = tmp_path / "check out", tmp_path / "site"
    root.mkdir()
    site.mkdir()
    shutil.copy(DEV, root)
    (root / "pyproject.toml").write_text("[project]\n")
    (site / "pip.py").write_text(PIP)
    (site / "tool.py").write_text(TOOL)
    for name, source in (("pytest", PYTEST), ("daemon", DAEMON)):
        (site / name).mkdir()
        (site / name / "__init__.py").touch()
        (site / name / "__main__.py").write_text(source)
    return Project(root, site)


CLOSING = r"==== {} in \d+\.\d\ds \(0:\d\d\) ===="


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_first_run_installs_the_project_with_all_it_needs(project: Project) -> None:
    code, printed = project.run("demo", "--seconds", "3")

    assert code == 7
    assert printed.startswith("Preparing .venv")
    assert '"arguments": ["demo", "--seconds", "3"]' in printed
    (call,) = project.calls("pip")
    assert call[:4] == ["pip", "--python", f"{project.root}/.venv/bin/python", "install"]
    assert call[-2:] == ["-e", f"{project.root}[embedded,dev]"]


def test_the_second_run_installs_nothing_and_says_nothing(project: Project) -> None:
    project.run("run")

    _, printed = project.run("run")

    assert len(project.calls("pip")) == 1
    assert printed.startswith('{"arguments": []')


def test_a_changed_pyproject_is_installed_into_the_same_venv(project: Project) -> None:
    project.run("run")
    kept = project.root / ".venv" / "kept"
    kept.touch()
    (project.root / "pyproject.toml").write_text("[project]\n# changed\n")

    project.run("run")

    assert len(project.calls("pip")) == 2
    assert kept.exists()


def test_what_an_interrupted_install_left_is_cleared(project: Project) -> None:
    left = project.root / ".venv" / "lib" / "half"
    left.mkdir(parents=True)
    (project.root / ".venv" / "bin").mkdir()
    (project.root / ".venv" / "bin" / "python").symlink_to("/nonexistent/python")

    code, _ = project.run("run")

    assert code == 7
    assert not left.exists()


def test_an_install_that_was_killed_is_made_anew(project: Project) -> None:
    (project.site / "hold").touch()
    with project.start("run") as killed:
        until(lambda: bool(project.calls("pip")))
        os.killpg(killed.pid, signal.SIGKILL)
    (project.root / ".venv" / "half").touch()
    (project.site / "hold").unlink()

    code, _ = project.run("run")

    assert code == 7
    assert len(project.calls("pip")) == 2
    assert not (project.root / ".venv" / "half").exists()


def test_a_failed_install_is_one_sentence_and_is_tried_again(project: Project) -> None:
    (project.site / "pip-fails").touch()
    code, printed = project.run("run")
    (project.site / "pip-fails").unlink()

    second, _ = project.run("run")

    assert code == 1
    assert printed.splitlines()[-1].startswith("pip could not install")
    assert "Traceback" not in printed
    assert second == 7


def test_a_venv_that_was_moved_is_made_anew(project: Project) -> None:
    project.run("run")
    moved = Project(project.root.with_name("moved"), project.site)
    project.root.rename(moved.root)

    moved.run("run")

    assert len(project.calls("pip")) == 2


def test_of_two_first_runs_at_once_one_installs_and_both_run(project: Project) -> None:
    (project.site / "hold").touch()
    with project.start("run") as first:
        until(lambda: bool(project.calls("pip")))
        with project.start("run") as second:
            assert second.stdout
            waiting = second.stdout.readline()
            (project.site / "hold").unlink()
            second.communicate(timeout=60)
        first.communicate(timeout=60)

    assert "waiting" in waiting
    assert (first.returncode, second.returncode) == (7, 7)
    assert len(project.calls("pip")) == 1


def test_a_python_that_is_too_old_is_told_so_in_one_sentence(project: Project) -> None:
    pretend = (
        "import sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['dev.py', 'demo'];"
        f"exec(compile(open({str(DEV)!r}).read(), 'dev.py', 'exec'))"
    )

    done = subprocess.run(
        [sys.executable, "-c", pretend], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr == "dev.py needs Python 3.11 or later, and this is 3.9.\n"


def test_an_older_python_can_read_far_enough_to_say_so() -> None:
    ast.parse(DEV.read_text(), feature_version=(3, 7))


def test_a_python_without_pip_is_told_so_in_one_sentence(project: Project) -> None:
    for name in ("pip", "ensurepip"):
        (project.site / f"{name}.py").write_text("raise ImportError")

    code, printed = project.run("demo")

    assert code == 1
    assert "has no pip" in printed.splitlines()[-1]
    assert "Traceback" not in printed


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
def test_a_checkout_of_another_user_is_told_in_one_sentence(project: Project) -> None:
    project.root.chmod(0o500)

    code, printed = project.run("demo")

    project.root.chmod(0o700)
    assert code == 1
    assert len(printed.splitlines()) == 1
    assert "cannot be written by this user" in printed


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
def test_a_checkout_of_another_user_is_enough_when_all_is_installed(project: Project) -> None:
    project.run("run")
    project.root.chmod(0o500)

    code, _ = project.run("run")

    project.root.chmod(0o700)
    assert code == 7


def test_the_program_takes_the_place_of_dev_py_where_it_was_called(
    project: Project, tmp_path: Path
) -> None:
    project.run("run")

    with project.start("run", "check", "--json", cwd=tmp_path) as process:
        printed, _ = process.communicate(timeout=60)

    assert json.loads(printed) == {
        "arguments": ["check", "--json"],
        "cwd": str(tmp_path),
        "pid": process.pid,
    }
    assert process.returncode == 7


@pytest.mark.parametrize("command", ["bench", "faults"])
def test_what_lies_beside_the_tests_runs_in_the_checkout_and_takes_its_arguments(
    project: Project, tmp_path: Path, command: str
) -> None:
    program = project.root / "tests" / command
    program.mkdir(parents=True)
    (program.parent / "__init__.py").touch()
    (program / "__init__.py").touch()
    (program / "__main__.py").write_text(DAEMON)
    project.run("run")

    code, printed = project.run(command, "replay", "--events", "5", cwd=tmp_path)

    assert code == 7
    told = json.loads(printed)
    assert told["arguments"] == ["replay", "--events", "5"]
    assert told["cwd"] == str(project.root)


def test_all_checks_run_though_the_first_fails_and_the_last_line_counts_the_tests(
    project: Project,
) -> None:
    (project.site / "ruff-fails").touch()

    code, printed = project.run("test")

    assert code == 1
    assert project.calls()[1:] == [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ]
    assert "ruff check: failed in 0." in printed
    assert "ruff found a mistake" in printed
    assert "mypy: passed in 0." in printed
    assert "mypy is content" not in printed
    assert re.fullmatch(CLOSING.format("6 passed"), printed.splitlines()[-1])


def test_when_all_is_well_the_exit_code_says_so(project: Project) -> None:
    assert project.run("test")[0] == 0


@pytest.mark.parametrize(
    ("failing", "counts"),
    [
        ("pytest-fails", "3 failed, 6 passed"),
        ("pytest-fails-not", "2 failed, 6 passed"),
        ("pytest-fails-timing", "1 failed, 6 passed"),
    ],
)
def test_a_failure_in_any_process_of_pytest_is_shown_counted_and_fails_the_whole(
    project: Project, failing: str, counts: str
) -> None:
    (project.site / failing).touch()

    code, printed = project.run("test")

    assert code == 1
    assert printed.count("one of pytest's failures") == int(counts[0])
    assert re.fullmatch(CLOSING.format(counts), printed.splitlines()[-1])


def test_a_process_of_pytest_that_counts_nothing_is_an_error(project: Project) -> None:
    (project.site / "pytest-dies").touch()

    code, printed = project.run("test")

    assert code == 1
    assert re.fullmatch(CLOSING.format("3 errors"), printed.splitlines()[-1])


@pytest.mark.parametrize(("arguments", "rest"), [((), " and not full"), (("--full",), "")])
def test_two_processes_share_the_tests_and_then_one_runs_those_that_measure_time(
    project: Project, arguments: tuple[str, ...], rest: str
) -> None:
    _, printed = project.run("test", *arguments)

    called = [
        ast.literal_eval(line.removeprefix("arguments "))
        for line in printed.splitlines()
        if line.startswith("arguments ")
    ]
    shares = [word.partition("=")[2] for each in called for word in each if "--share=" in word]
    assert [each[-1] for each in called] == [f"not timing{rest}"] * 2 + [f"timing{rest}"]
    assert shares[0] == shares[1] != shares[2]
    assert not Path(shares[0]).exists()


def test_with_arguments_only_pytest_runs_and_its_exit_code_is_passed_on(project: Project) -> None:
    (project.site / "pytest-fails").touch()

    code, printed = project.run("test", "-k", "two words")

    assert code == 3
    assert "arguments ['-k', 'two words']" in printed
    assert [name for name, *_ in project.calls()] == ["pip"]


def test_the_receivers_dependencies_are_installed_once_per_change_of_their_lock(
    project: Project,
) -> None:
    lock = project.root / "tests" / "receivers" / "package-lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text("{}")

    project.run("test", "-x")
    project.run("test", "-x")
    lock.write_text("{ }")
    (project.site / "npm-fails").touch()
    failed, printed = project.run("test", "-x")
    (project.site / "npm-fails").unlink()
    project.run("test", "-x")

    wanted = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    assert project.calls("npm") == [wanted] * 3
    assert failed == 1
    assert f"{lock.parent}\nnpm found a mistake" in printed.replace("npm is content\n", "")


@pytest.mark.parametrize("arguments", [("-x",), ()])
def test_an_interrupt_lets_pytest_tidy_up_and_shows_no_traceback(
    project: Project, arguments: tuple[str, ...]
) -> None:
    (project.site / "pytest-hangs").touch()
    with project.start("test", *arguments) as process:
        assert process.stdout
        while "arguments" not in process.stdout.readline():
            pass

        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=60)

    assert printed == "tidied up\n"
    assert process.returncode == 130


@pytest.mark.parametrize("arguments", [("-x",), ()])
def test_termination_takes_pytest_along(project: Project, arguments: tuple[str, ...]) -> None:
    (project.site / "pytest-hangs").touch()
    with project.start("test", *arguments) as process:
        assert process.stdout
        while "arguments" not in process.stdout.readline():
            pass

        process.terminate()
        # The pipe ends only when pytest, which holds it too, has ended.
        printed, _ = process.communicate(timeout=60)

    assert printed == ""
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("dance",), 2), (("--help",), 0)])
def test_without_a_command_it_tells_the_commands_and_installs_nothing(
    project: Project, arguments: tuple[str, ...], code: int
) -> None:
    found, printed = project.run(*arguments)

    assert found == code
    assert printed.startswith("usage: python3 dev.py COMMAND")
    assert not project.calls()
