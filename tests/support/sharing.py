"""
Lets several pytest processes share one run, given `--share=FOLDER`, an empty folder of that run.

A file of tests is run by the first process that claims it, so the work balances itself and no file
runs twice. A process leaves its counts in the folder, as JSON in a file named by its process id.
"""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import pytest

# The longest files come first, so that no process is left with one of them at the end.
LONGEST_FIRST = (
    "tests/test_canaries.py",
    "tests/cli/test_run.py",
    "tests/cli/test_replay.py",
    "tests/cli/test_check.py",
    "tests/replay/test_progress.py",
    "tests/egress/test_namespace.py",
    "tests/admin/test_openapi.py",
    "tests/test_package.py",
)
COUNTED = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", metavar="FOLDER", type=Path, help="run what no other has claimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("share"):
        items.sort(key=_rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """As pytest's own loop, for the claimed items alone; what is special is left to that one."""
    folder = session.config.getoption("share")
    if not folder or session.testsfailed or session.config.option.collectonly:
        return None
    items = claimed(session.items, folder)
    item = next(items, None)
    while item is not None:
        # Claimed before this one runs: the fixtures that the next does not need end with this one.
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if folder := config.getoption("share"):
        counts = {name: len(terminalreporter.stats.get(name, ())) for name in COUNTED}
        (folder / f"{os.getpid()}.json").write_text(json.dumps(counts))


def claimed(items: Iterable[pytest.Item], folder: Path) -> Iterator[pytest.Item]:
    """The items of those files that no other process has claimed when their turn comes."""
    for file, together in groupby(items, key=_file):
        if _claim(folder / f"{file.replace('/', '.')}.claimed"):
            yield from together


def _claim(mark: Path) -> bool:
    try:
        mark.open("x").close()
    except FileExistsError:
        return False
    return True


def _rank(item: pytest.Item) -> int:
    file = _file(item)
    return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)


def _file(item: pytest.Item) -> str:
    """Its path below the root, such as `tests/cli/test_cli.py`."""
    return item.nodeid.partition("::")[0]
