"""
A pytest plugin: processes with the same `--share=FOLDER` share one run; FOLDER is empty at first.

Each test file is imported and run by the first process that claims it, so the load balances itself,
and no file is imported or run twice. A folder in `TOGETHER` is claimed as a whole. Each process
writes its counts to FOLDER, as JSON in a file named by its process id.
"""

import json
import os
from collections.abc import Generator, Iterator
from functools import partial
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
    "tests/cli/test_check_webhooks.py",
    "tests/supply_chain/test_lock.py",
    "tests/supply_chain/test_audit.py",
    "tests/test_canaries.py",
    "tests/egress/test_network.py",
    "tests/faults/test_starts.py",
    "tests/cli/test_run.py",
    "tests/admin/test_email_confirmation.py",
    "tests/egress/test_namespace.py",
    "tests/cli/test_demo.py",
    "tests/docs/test_explain_guide.py",
    "tests/cli/support/test_databases.py",
    "tests/replay/test_shares.py",
    "tests/pipeline/test_failing_endpoints.py",
)
# They run before all others, in one process: each process would start a browser of its own.
TOGETHER = ("tests/console/",)
FILES: pytest.StashKey[list[pytest.File]] = pytest.StashKey()
COUNTED = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share",
        metavar="FOLDER",
        type=Path,
        help="skip test files that another process has claimed",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Find the test files, and import none yet: each process imports those that it claims."""
    if not session.config.getoption("share"):
        return (yield)
    files: list[pytest.File] = []
    session.stash[FILES] = files
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "genitems", partial(_no_items, files))
        return (yield)


def _no_items(files: list[pytest.File], node: pytest.Collector) -> Iterator[pytest.Item]:
    """Add the files in a folder to `files`. Yields nothing, in place of their tests."""
    if isinstance(node, pytest.File):
        files.append(node)
        return
    report = node.ihook.pytest_make_collect_report(collector=node)
    node.ihook.pytest_collectreport(report=report)
    for inner in report.result if report.passed else ():
        yield from _no_items(files, inner)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the claimed items as pytest's own loop would; that loop handles the special cases."""
    folder = session.config.getoption("share")
    if not folder or session.config.option.collectonly:
        return None
    items = _claimed_items(session, folder)
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
    session.testscollected = len(session.stash[FILES])  # or the exit code is that of no tests
    return True


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if folder := config.getoption("share"):
        counts = {name: len(terminalreporter.stats.get(name, ())) for name in COUNTED}
        (folder / f"{os.getpid()}.json").write_text(json.dumps(counts))


def _claimed_items(session: pytest.Session, folder: Path) -> Iterator[pytest.Item]:
    """Yield the items of the files that this process claims, each claimed when it is reached."""
    files = session.stash[FILES]
    ours: set[str] = set()
    for file in sorted(files, key=_rank):
        name = _folder_of_together(file) or file.nodeid
        if name in ours or _claim(folder / f"{name.replace('/', '.')}.claimed"):
            ours.add(name)
            yield from _items(session, file)


def _folder_of_together(file: pytest.File) -> str | None:
    return next((folder for folder in TOGETHER if file.nodeid.startswith(folder)), None)


def _items(session: pytest.Session, file: pytest.File) -> list[pytest.Item]:
    """Import a file; return those of its tests that are selected, as pytest's collection would."""
    session.items = items = list(session.genitems(file))
    hook = session.config.hook
    hook.pytest_collection_modifyitems(session=session, config=session.config, items=items)
    hook.pytest_collection_finish(session=session)
    return items


def _claim(claim_file: Path) -> bool:
    try:
        claim_file.open("x").close()
    except FileExistsError:
        return False
    return True


def _rank(file: pytest.File) -> int:
    if _folder_of_together(file):
        return -1
    name = file.nodeid  # such as tests/cli/test_run.py
    return SLOWEST_FIRST.index(name) if name in SLOWEST_FIRST else len(SLOWEST_FIRST)
