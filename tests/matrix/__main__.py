"""
`python3 dev.py matrix`: a short set of tests with each version that can be had, as a table.

Each PostgreSQL runs with this Python, and each Python with this machine's usual PostgreSQL. The
exit code is 1 if a version failed; one that is not there is no failure.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.matrix.interpreters import MINORS, ROOT, interpreter
from tests.matrix.servers import MAJORS, programs
from tests.support.postgres import temporary_server

TESTS = (
    "tests/store/test_history_partitions.py",
    "tests/pipeline/test_delivery.py",
    "tests/pipeline/test_inserted_deliveries.py",
    "tests/replay/test_events.py",
)
MISSING = "not available here"


def main(arguments: list[str]) -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="dev.py matrix", description=__doc__)
    parser.add_argument("--postgresql", type=int, nargs="*", default=MAJORS, metavar="MAJOR")
    parser.add_argument("--python", type=int, nargs="*", default=MINORS, metavar="MINOR")
    chosen = parser.parse_args(arguments)
    print(f"Tests: {', '.join(TESTS)}\n\n| | from | result |\n|---|---|---|", flush=True)
    failed = False
    for name, source, result in _rows(chosen.postgresql, chosen.python):
        print(f"| {name} | {source} | {result} |", flush=True)
        failed |= "failed" in result
    return int(failed)


def _rows(majors: list[int], minors: list[int]) -> Iterator[tuple[str, str, str]]:
    for major in majors:
        with programs(major) as found:
            if found is None:
                yield f"PostgreSQL {major}", "", MISSING
            else:
                yield f"PostgreSQL {_version(found[0])}", found[1], _with_server(found[0])
    for minor in minors:
        with interpreter(minor) as python:
            if python is None:
                yield f"Python 3.{minor}", "", MISSING
            else:
                version = _printed(python, "--version").removeprefix("Python ")
                yield f"Python {version}", "this machine", _run(python, {})


def _with_server(binaries: Path) -> str:
    with temporary_server(bin_dir=binaries) as url:
        return _run(Path(sys.executable), {"WEBHOOKD_TEST_DATABASE_URL": url})


def _run(python: Path, environment: dict[str, str]) -> str:
    """Run the tests; return pytest's last line, without the time."""
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-m", "not full", *TESTS],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr, flush=True)
    last = done.stdout.strip().splitlines()[-1:] or ["failed: no output"]
    result = re.sub(r" in [\d.]+s.*", "", last[0].strip("= "))
    return result if done.returncode == 0 or "failed" in result else f"failed: {result}"


def _version(binaries: Path) -> str:
    return _printed(binaries / "postgres", "--version").split(") ")[1].split()[0]


def _printed(program: Path, option: str) -> str:
    return subprocess.run(
        [program, option], capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
