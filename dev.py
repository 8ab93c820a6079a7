#!/usr/bin/env python3
"""
Set up and run: `python3 dev.py demo | run | test | bench | faults | figures`.

Needs Python 3.11 or later and its pip, nothing else. What is installed goes into `.venv`, once per
change of `pyproject.toml`. This file itself is read by older Pythons too, so that they can say so.
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

if sys.version_info < (3, 11):  # noqa: UP036 - this very line tells it
    sys.exit("dev.py needs Python 3.11 or later, and this is %d.%d." % sys.version_info[:2])  # noqa: UP031

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
STAMP = VENV / "installed-for"
RECEIVERS = ROOT / "tests" / "receivers"

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "lint-imports": ["lint-imports"],
}
COMMANDS = {"demo", "run", "test", "bench", "faults", "figures"}
USAGE = """usage: python3 dev.py COMMAND [ARGUMENTS]

  demo    the whole product on this machine: database, daemon, receiver, sample events
  run     the command line itself, webhookd: `python3 dev.py run --help`
  test    linters, types, import rules and tests; `--full` adds the tests that take long;
          with other arguments pytest alone, with those
  bench   the benchmarks
  faults  the long forms of the fault tests: `python3 dev.py faults --help`
  figures the sizes of files and functions, and which of them lack docstrings"""


def main(command: str, arguments: list[str]) -> int:
    prepare()
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    if command == "run":
        become([str(PYTHON), "-m", "daemon", *arguments])
    if command == "demo":
        become([str(PYTHON), "-m", "daemon", "demo", *arguments])
    os.chdir(ROOT)
    # The tests start hundreds of processes, and each would compile the daemon for itself.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if command in {"bench", "faults", "figures"}:
        become([str(PYTHON), "-m", f"tests.{command}", *arguments])
    return test(arguments)


def become(command: list[str]) -> None:
    """Replace this process, so that signals and the exit code are the program's own."""
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - a shell is what this is to do without


def prepare() -> None:
    """Make `.venv` what `pyproject.toml` asks for; two runs at once take turns."""
    if read(STAMP) == stamp():
        return
    for place in (ROOT, VENV):
        if place.exists() and not os.access(place, os.W_OK):
            sys.exit(
                f"{place} cannot be written by this user, and there is something to install: "
                "clone the repository into a folder of your own."
            )
    with alone():
        if read(STAMP) != stamp():
            install()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other runs out, by a lock on the folder itself, which leaves no file behind."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another dev.py is installing here: waiting for it.")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def stamp() -> str:
    """What a finished install writes: what for, and where and for which Python the venv is."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return f"{digest}\n{ROOT}\n{python_version()}"


def python_version() -> str:
    """As `3.11`, of `.venv`; the system's Python may have become another since. Empty: none."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    with contextlib.suppress(OSError):
        done = subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, check=False)
        return done.stdout
    return ""


def read(path: pathlib.Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def install() -> None:
    """Make or renew `.venv`; what an interrupted run has left, which has no stamp, is cleared."""
    say("Preparing .venv: once, about a minute.")
    is_whole = read(STAMP).split("\n")[1:] == stamp().split("\n")[1:]
    STAMP.unlink(missing_ok=True)
    if not is_whole and call([sys.executable, "-m", "venv", "--without-pip", "--clear", str(VENV)]):
        sys.exit("Python could not make .venv: on Debian, apt-get install python3-venv.")
    packages = ["-e", f"{ROOT}[embedded,dev]"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    if call([*pip(), "install", *quiet, *packages], env={**os.environ, "PIP_USER": "0"}):
        sys.exit("pip could not install what pyproject.toml asks for: see its message above.")
    STAMP.write_text(stamp())


def pip() -> list[str]:
    """The command that installs into `.venv`, with whichever pip this machine has."""
    if has_module(sys.executable, "pip"):
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if has_module(sys.executable, "ensurepip"):
        call([str(PYTHON), "-m", "ensurepip"])
        return [str(PYTHON), "-m", "pip"]
    sys.exit(
        "This Python has no pip: install it first, on Debian with apt-get install python3-pip."
    )


def has_module(python: str, name: str) -> bool:
    found = subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False)
    return found.returncode == 0


def test(arguments: list[str]) -> int:
    """Run the whole suite, or with arguments pytest alone, which passes its exit code on."""
    with alone():
        well = has_receivers()
    if arguments not in ([], ["--full"]):
        return call([str(PYTHON), "-m", "pytest", *arguments]) or int(not well)
    return int(not all([well, suite(full=bool(arguments))]))


def suite(*, full: bool) -> bool:
    """
    Run checks and tests on two cores; the last line counts all tests, as pytest's own does.

    Two processes of pytest share the tests, one of which begins when the checks are done. Tests
    that measure time run after that, in one process.
    """
    began = time.monotonic()
    without = "" if full else " and not full"
    with contextlib.ExitStack() as held:
        shared, own, log = (
            held.enter_context(tempfile.TemporaryDirectory(prefix="webhookd-suite-")),
            held.enter_context(tempfile.TemporaryDirectory(prefix="webhookd-suite-")),
            held.enter_context(tempfile.TemporaryFile("w+")),
        )
        with together() as started:
            started.append(pytest(shared, f"not timing{without}", output=log))
            well = [passes(name, command) for name, command in CHECKS.items()]
            say("pytest:")
            started.append(pytest(shared, f"not timing{without}"))
            for process in started:
                process.wait()
            log.seek(0)
            say(f"pytest, the process beside it:\n{log.read().rstrip()}")
            say("pytest, the tests that measure time:")
            started.append(pytest(own, f"timing{without}"))
            started[-1].wait()
        total = counted(pathlib.Path(shared), pathlib.Path(own))
    crashed = len(started) - total.pop("reports")
    say(closing_line(total, crashed=crashed, seconds=time.monotonic() - began))
    return all(well) and not crashed and not any(process.returncode for process in started)


def pytest(share: str, marks: str, output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """Start a pytest that runs what no other with the same `share`, a folder, has claimed."""
    # One word: pytest looks for its configuration before it knows which options take a value.
    sharing = ["-p", "tests.support.sharing", f"--share={share}"]
    return subprocess.Popen(
        [str(PYTHON), "-m", "pytest", "-q", *sharing, "-m", marks],
        stdout=output,
        stderr=output and subprocess.STDOUT,
    )


@contextlib.contextmanager
def together() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are added to the list end before we do, however we end."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    except SystemExit:
        for process in started:
            process.terminate()
        raise
    finally:
        for process in started:
            process.wait()  # the terminal has interrupted it too, and it may have to tidy up


def counted(*folders: pathlib.Path) -> dict[str, int]:
    """The sums of what the processes have counted, by outcome; `reports` is how many have."""
    reports = [json.loads(file.read_text()) for folder in folders for file in folder.glob("*.json")]
    names = {name for report in reports for name in report}
    total = {name: sum(report.get(name, 0) for report in reports) for name in names}
    return {**total, "reports": len(reports)}


def closing_line(total: dict[str, int], *, crashed: int, seconds: float) -> str:
    """As pytest's own; each process that has `crashed`, without counts, is one error more."""
    errors = total.get("error", 0) + crashed
    order = ("failed", "passed", "skipped", "xfailed", "xpassed")
    found = [f"{total[name]} {name}" for name in order if total.get(name)]
    found += [f"{errors} error{'s' if errors > 1 else ''}"] if errors else []
    minutes = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    return f"==== {', '.join(found) or 'no tests ran'} in {seconds:.2f}s ({minutes}) ===="


def has_receivers() -> bool:
    """Install what the JavaScript receivers of the tests need, once per change of their lock."""
    lock = RECEIVERS / "package-lock.json"
    mark = RECEIVERS / "node_modules" / ".installed-for"
    if not lock.exists():
        return True
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if read(mark) == digest:
        return True
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    os.environ["NODE_USE_SYSTEM_CA"] = "1"  # as pip does: the network may have a CA of its own
    if not passes("npm ci", command, cwd=RECEIVERS):
        return False
    mark.parent.mkdir(exist_ok=True)  # npm makes none when there is nothing to install
    mark.write_text(digest)
    return True


def passes(name: str, command: list[str], cwd: pathlib.Path = ROOT) -> bool:
    """Run a tool of `.venv`; one line tells verdict and time, its output follows if it failed."""
    began = time.monotonic()
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    verdict = "failed" if done.returncode else "passed"
    say(f"{name}: {verdict} in {time.monotonic() - began:.1f} s")
    if done.returncode:
        say(done.stdout.rstrip())
    return done.returncode == 0


def call(command: list[str], env: dict[str, str] | None = None) -> int:
    """Run with the terminal ours; return the exit code, as a shell would for a signal."""
    with subprocess.Popen(command, env=env) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.wait()  # the terminal has interrupted it too, and it may have to tidy up
            raise
        except SystemExit:
            process.terminate()
            raise
    return code if code >= 0 else 128 - code


def say(line: str) -> None:
    print(line, flush=True)


def terminated(number: int, _frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        asked = sys.argv[1:] in (["--help"], ["-h"], ["help"])
        print(USAGE, file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    signal.signal(signal.SIGTERM, terminated)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(130)
