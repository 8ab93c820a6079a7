"""
A pytest plugin: processes with the same `--share=FOLDER` share one run; FOLDER is empty at first.

Each test file is run by the first process that claims it, so the load balances itself and no file
runs twice. Each process writes its counts to FOLDER, as JSON in a file named by its process id.
"""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import pytest

# The slowest files run first, so that no process runs one alone at the end.
SLOWEST_FIRST = (
    "tests/admin/test_openapi.py",
    "tests/test_package.py",
    "tests/faults/test_stops.py",
    "tests/faults/test_daemons.py",
    "tests/bench/test_bench.py",
    "tests/cli/test_replay.py",
    "tests/cli/test_check.py",
    "tests/supply_chain/test_lock.py",
    "tests/supply_chain/test_audit.py",
    "tests/test_canaries.py",
    "tests/egress/test_network.py",
    "tests/faults/test_stalls.py",
    "tests/cli/test_run.py",
    "tests/admin/test_email_confirmation.py",
    "tests/egress/test_namespace.py",
    "tests/cli/test_demo.py",
    "tests/replay/test_shares.py",
    "tests/pipeline/test_failing_endpoints.py",
)
COUNTED = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share",
        metavar="FOLDER",
        type=Path,
        help="skip test files that another process has claimed",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("share"):
        items.sort(key=_rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the claimed items as pytest's own loop would; that loop handles the special cases."""
    folder = session.config.getoption("share")
    if not folder or session.testsfailed or session.config.option.collectonly:
        return None
    items = claimed(session.items, folder)
    item = next(items, None)
    while item is not None:
        # Claim the next item first: this item's teardown ends the fixtures that the next does not
        # use.
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
    """Yield the items of the files that this process claims, each claimed when it is reached."""
    for file, items_of_file in groupby(items, key=_file):
        if _claim(folder / f"{file.replace('/', '.')}.claimed"):
            yield from items_of_file


def _claim(claim_file: Path) -> bool:
    try:
        claim_file.open("x").close()
    except FileExistsError:
        return False
    return True


def _rank(item: pytest.Item) -> int:
    file = _file(item)
    return SLOWEST_FIRST.index(file) if file in SLOWEST_FIRST else len(SLOWEST_FIRST)


def _file(item: pytest.Item) -> str:
    """Return the path of the item's file, such as `tests/cli/test_run.py`."""
    return item.nodeid.partition("::")[0]
