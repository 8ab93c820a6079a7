#!/usr/bin/env python3
"""
Set up and run: `python3 dev.py --help` lists the commands.

Needs only Python 3.11 or later and its pip. The packages in `requirements-dev.lock` are installed
into `.venv`, again after each change of that file, of `pyproject.toml` or of the console's script.
Python 3.7 must still parse this file, to report that it is too old.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO

if sys.version_info < (3, 11):  # noqa: UP036 - older versions get here
    sys.exit("dev.py needs Python 3.11 or later, and this is %d.%d." % sys.version_info[:2])  # noqa: UP031

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
STAMP_FILE = VENV / "installed-for"
LOCK = ROOT / "requirements-dev.lock"
# What an installation depends on; hatch_build.py brings the last one, which no commit has.
SOURCES = (
    ROOT / "pyproject.toml",
    LOCK,
    ROOT / "frontend" / "package-lock.json",
    ROOT / "daemon" / "admin" / "static" / "htmx.min.js",
)
RECEIVERS = ROOT / "tests" / "receivers"
# Twice the two cores that are expected: more than half of the time a test waits, for a timer, a
# process or the network.
SHARING_PROCESSES = 4

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "lint-imports": ["lint-imports"],
}
PROGRAMS = {
    "bench": "tests.bench",
    "faults": "tests.faults",
    "figures": "tests.figures",
    "generate": "tests.generated",
    "deb": "tests.packaging.deb",
    "systemd-image": "tests.systemd.image",
    "matrix": "tests.matrix",
    "lock": "tests.supply_chain.lock",
    "audit": "tests.supply_chain.audit",
    "sbom": "tests.supply_chain.sbom",
    "shots": "tests.console.shots",
}
COMMANDS = {"demo", "run", "test", *PROGRAMS}
USAGE = """usage: python3 dev.py COMMAND [ARGUMENTS]

  demo     the whole product on this machine: database, daemon, receiver, sample events
  run      any command of webhookd: `python3 dev.py run --help`
  test     linters, types, import rules and tests; `--full` adds the slow tests;
           other arguments are passed to pytest, which then runs alone
  bench    the benchmarks: `python3 dev.py bench --help`
  faults   the long forms of the fault tests: `python3 dev.py faults --help`;
            attacks by one tenant beside others: `python3 dev.py faults attacks --help`
  figures  the sizes of files and functions, and functions without docstrings
  generate write the generated files again: docs/configuration.md, man page, completions
  deb      build a Debian package into dist
  systemd-image  make the image in which the tests run a real systemd (mmdebstrap, as root)
  matrix   a short set of tests with each PostgreSQL and Python that can be had: a table
  lock     resolve pyproject.toml into the lock files; `--upgrade` moves the pins
  audit    look up the pins of deployments in the advisory database; 75 if it cannot be asked
  sbom     write the software bill of materials of deployments (CycloneDX)
  shots    screenshots of every page of the console into a folder: `dist/shots`"""


def main(command: str, arguments: list[str]) -> int:
    """Run a command of `USAGE`; return the exit code, unless a program replaces this process."""
    prepare_venv()
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    if command == "run":
        replace_process([str(PYTHON), "-m", "daemon", *arguments])
    if command == "demo":
        replace_process([str(PYTHON), "-m", "daemon", "demo", *arguments])
    os.chdir(ROOT)
    # Otherwise each of the hundreds of processes that the tests start would compile the daemon.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if command in PROGRAMS:
        replace_process([str(PYTHON), "-m", PROGRAMS[command], *arguments])
    return test(arguments)


def replace_process(command: list[str]) -> None:
    """Replace this process by a program, which gets its signals and sets its exit code."""
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - no shell is needed


def prepare_venv() -> None:
    """Install the packages of the lock file, unless they are installed; concurrent runs wait."""
    if read_or_empty(STAMP_FILE) == expected_stamp():
        return
    for folder in (ROOT, VENV):
        if folder.exists() and not os.access(folder, os.W_OK):
            sys.exit(
                f"{folder} cannot be written by this user, and packages must be installed: "
                "clone the repository into a folder of your own."
            )
    with installation_lock():
        if read_or_empty(STAMP_FILE) != expected_stamp():
            install()


@contextlib.contextmanager
def installation_lock() -> Iterator[None]:
    """Exclude other runs of dev.py by a lock on the folder itself, which leaves no file behind."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print_now("Another dev.py is installing packages here: waiting for it.")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def expected_stamp() -> str:
    """Identify an installation: the hash of its sources, the checkout's path, the Python."""
    sources = "\0".join(read_or_empty(source) for source in SOURCES)
    return f"{hashlib.sha256(sources.encode()).hexdigest()}\n{ROOT}\n{python_version()}"


def python_version() -> str:
    """
    Return the version of `.venv`'s Python, such as `3.11`; empty without a working Python.

    An upgrade of the system may have replaced the Python that `.venv` was made from.
    """
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    with contextlib.suppress(OSError):
        done = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=False)
        return done.stdout
    return ""


def read_or_empty(path: pathlib.Path) -> str:
    """Return the text of a file; empty if it cannot be read."""
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def install() -> None:
    """Make or update `.venv`. An incomplete one, left without a stamp, is cleared first."""
    print_now("Preparing .venv: this takes about a minute, once.")
    is_complete = read_or_empty(STAMP_FILE).split("\n")[1:] == expected_stamp().split("\n")[1:]
    STAMP_FILE.unlink(missing_ok=True)
    if not is_complete and call(
        [sys.executable, "-m", "venv", "--without-pip", "--clear", str(VENV)]
    ):
        sys.exit("Python could not make .venv: on Debian, apt-get install python3-venv.")
    pip_install("--require-hashes", "--no-deps", "--requirement", str(LOCK))
    # Without isolation, hatchling is the one in the lock file and not the newest of today.
    pip_install("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    STAMP_FILE.write_text(expected_stamp())


def pip_install(*arguments: str) -> None:
    """Install into `.venv`; exit with a message if pip fails."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    if call([*pip(), "install", *quiet, *arguments], env={**os.environ, "PIP_USER": "0"}):
        sys.exit(f"pip could not install the packages in {LOCK.name}: see its message above.")


def pip() -> list[str]:
    """Return the pip command that installs into `.venv`; it may be the system's pip."""
    if has_module(sys.executable, "pip"):
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if has_module(sys.executable, "ensurepip"):
        call([str(PYTHON), "-m", "ensurepip"])
        return [str(PYTHON), "-m", "pip"]
    sys.exit(
        "This Python has no pip: install it first, on Debian with apt-get install python3-pip."
    )


def has_module(python: str, name: str) -> bool:
    """Return whether this interpreter can import the module."""
    found = subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False)
    return found.returncode == 0


def test(arguments: list[str]) -> int:
    """Run the whole suite, or pytest alone if it is given arguments; return the exit code."""
    with installation_lock():
        has_receivers = install_receivers()
    if arguments not in ([], ["--full"]):
        return call([str(PYTHON), "-m", "pytest", *arguments]) or int(not has_receivers)
    return int(not all([has_receivers, run_suite(full=bool(arguments))]))


def run_suite(*, full: bool) -> bool:
    """
    Run checks and tests on two cores; the last line counts all tests, in pytest's format.

    Several pytest processes share the tests. The last one starts after the checks. Tests that
    measure time run after that, in one process. Returns whether everything passed.
    """
    began = time.monotonic()
    slow = "" if full else " and not full"
    with temporary_folder() as shared, temporary_folder() as timing:
        with child_processes() as processes:
            checks_passed = run_checks_and_shared_tests(processes, shared, f"not timing{slow}")
            print_now("pytest, the tests that measure time:")
            processes.append(start_pytest(timing, f"timing{slow}"))
            processes[-1].wait()
        counts = sum_counts(pathlib.Path(shared), pathlib.Path(timing))
    crashed = len(processes) - counts.pop("reports")
    print_now(closing_line(counts, crashed=crashed, seconds=time.monotonic() - began))
    return checks_passed and not crashed and not any(each.returncode for each in processes)


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="webhookd-suite-")


def run_checks_and_shared_tests(
    processes: list[subprocess.Popen[bytes]], share: str, marks: str
) -> bool:
    """Run the checks in place of one of the pytest processes; return whether the checks passed."""
    with contextlib.ExitStack() as files:
        logs = [
            files.enter_context(tempfile.TemporaryFile("w+")) for _ in range(SHARING_PROCESSES - 1)
        ]
        processes += [start_pytest(share, marks, output=log) for log in logs]
        passed = [run_check(name, command) for name, command in CHECKS.items()]
        print_now("pytest:")
        processes.append(start_pytest(share, marks))
        for process in processes:
            process.wait()
        for log in logs:
            log.seek(0)
            print_now(f"pytest, another process:\n{log.read().rstrip()}")
    return all(passed)


def start_pytest(
    share: str, marks: str, *, output: IO[str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a pytest that skips test files claimed by another process in the folder `share`."""
    # One word: pytest searches for its configuration before it knows which options take a value.
    sharing = ["-p", "tests.support.sharing", f"--share={share}", "-oconsole_output_style=classic"]
    return subprocess.Popen(
        [str(PYTHON), "-m", "pytest", "-q", *sharing, "-m", marks],
        stdout=output,
        stderr=output and subprocess.STDOUT,
    )


@contextlib.contextmanager
def child_processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yield a list of child processes; wait for all of them, and terminate them on SIGTERM."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    except SystemExit:
        for process in started:
            process.terminate()
        raise
    finally:
        for process in started:
            process.wait()  # Ctrl-C has reached it too, and it may have to clean up


def sum_counts(*folders: pathlib.Path) -> dict[str, int]:
    """Add up the counts that the processes wrote, by outcome; `reports` is how many wrote any."""
    reports = [json.loads(file.read_text()) for folder in folders for file in folder.glob("*.json")]
    names = {name for report in reports for name in report}
    counts = {name: sum(report.get(name, 0) for report in reports) for name in names}
    return {**counts, "reports": len(reports)}


def closing_line(counts: dict[str, int], *, crashed: int, seconds: float) -> str:
    """Summarise the run in pytest's format; each crashed process counts as one more error."""
    errors = counts.get("error", 0) + crashed
    order = ("failed", "passed", "skipped", "xfailed", "xpassed")
    found = [f"{counts[name]} {name}" for name in order if counts.get(name)]
    found += [f"{errors} error{'s' if errors > 1 else ''}"] if errors else []
    minutes = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    return f"==== {', '.join(found) or 'no tests ran'} in {seconds:.2f}s ({minutes}) ===="


def install_receivers() -> bool:
    """Install the JavaScript receivers' packages if their lock file changed; False if npm fails."""
    lock = RECEIVERS / "package-lock.json"
    stamp = RECEIVERS / "node_modules" / ".installed-for"
    if not lock.exists():
        return True
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if read_or_empty(stamp) == digest:
        return True
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    os.environ["NODE_USE_SYSTEM_CA"] = "1"  # as pip does: the network may have its own CA
    if not run_check("npm ci", command, cwd=RECEIVERS):
        return False
    stamp.parent.mkdir(exist_ok=True)  # npm makes none when there is nothing to install
    stamp.write_text(digest)
    return True


def run_check(name: str, command: list[str], *, cwd: pathlib.Path = ROOT) -> bool:
    """Run a tool of `.venv`, print the result and the time, and its output if it failed."""
    began = time.monotonic()
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    verdict = "failed" if done.returncode else "passed"
    print_now(f"{name}: {verdict} in {time.monotonic() - began:.1f} s")
    if done.returncode:
        print_now(done.stdout.rstrip())
    return done.returncode == 0


def call(command: list[str], env: dict[str, str] | None = None) -> int:
    """Run a command; return its exit code, or 128 + N if signal N ended it, as shells do."""
    with subprocess.Popen(command, env=env) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.wait()  # Ctrl-C has reached it too, and it may have to clean up
            raise
        except SystemExit:
            process.terminate()
            raise
    return code if code >= 0 else 128 - code


def print_now(line: str) -> None:
    """Print without buffering, in order with the output of child processes."""
    print(line, flush=True)


def exit_on_signal(number: int, _frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        wants_help = sys.argv[1:] in (["--help"], ["-h"], ["help"])
        print(USAGE, file=sys.stdout if wants_help else sys.stderr)
        sys.exit(0 if wants_help else 2)
    signal.signal(signal.SIGTERM, exit_on_signal)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(130)
