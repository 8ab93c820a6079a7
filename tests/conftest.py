"""
Settings and fixtures of all tests: one PostgreSQL server per run, one database per test.

If `WEBHOOKD_TEST_DATABASE_URL` is set, a superuser's URL, the tests use that server instead.
"""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import hypothesis
import pytest
import structlog

from daemon.admin.resources import undelivered_events
from daemon.explain import event_fields, filter_preview
from daemon.store import search
from daemon.store.partitioning import Layout
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.closing_loop import ClosingLoop
from tests.support.layouts import make
from tests.support.postgres import (
    ClonedDatabases,
    DailyTemplate,
    run_in_new_loop,
    temporary_database,
    temporary_server,
)
from tests.support.receiver import Receiver, receiving
from tests.support.scratch import keep_temporary_files_in_memory

# The environment before `trust_only_a_test_authority`: pip needs this machine's authorities.
ORIGINAL_ENVIRONMENT = dict(os.environ)

TESTS = Path(__file__).parent
# These tests assert time limits, so `dev.py test` runs nothing else beside them.
TIMING_TESTS = (
    "egress/test_crowds.py",
    "faults/test_cancellation.py",
    "faults/test_old_transaction.py",
    "faults/test_outages.py",
    "faults/test_slow_endpoints.py",
    "faults/test_stalls.py",
    "runtime/test_loop.py",
)
# These tests are run for each way in which deliveries may be stored.
LAYOUT_TESTS = (
    "admin/test_deliveries.py",
    "admin/test_delivery_search.py",
    "admin/test_stored_events.py",
    "maintenance/test_erasure_concurrency.py",
    "maintenance/test_pruning.py",
    "pipeline/test_foreign_locks.py",
    "pipeline/test_held_rows.py",
    "pipeline/test_inserted_deliveries.py",
    "pipeline/test_isolation.py",
    "replay/test_cancellation.py",
    "replay/test_exhausted.py",
    "store/test_adoption.py",
    "store/test_application_rows.py",
    "store/test_bounded_statements.py",
    "store/test_contested_results.py",
    "store/test_failing_claims.py",
    "store/test_inserts.py",
    "store/test_live_deliveries.py",
    "store/test_moved_rows.py",
    "store/test_operational_events.py",
    "store/test_remaining_attempts.py",
    "store/test_retries.py",
    "store/test_schema_trust.py",
    "store/test_stats_bounds.py",
)

# A slow example shows that the machine is busy, not that the code is slow.
hypothesis.settings.register_profile("full", deadline=None)
PAGE_SECONDS = 20.0
# The same few examples in each ordinary run; `dev.py test --full` looks for others.
hypothesis.settings.register_profile("short", deadline=None, max_examples=25, derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("short" if "not full" in config.option.markexpr else "full")
    # Shells make background jobs ignore SIGINT, and child processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that fixtures are torn down
    keep_temporary_files_in_memory()
    print_plain_tracebacks()


def print_plain_tracebacks() -> None:
    """The default draws all local variables of each frame: a daemon's loop stands still so long."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Importing all tests takes six seconds, in which nothing else runs.
    marks = config.option.markexpr.split()
    if collection_path.is_dir() or "timing" not in marks[:2]:
        return None
    return True if _measures_time(collection_path) is (marks[0] == "not") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _measures_time(item.path):
            item.add_marker(pytest.mark.timing)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    path = Path(metafunc.module.__file__).relative_to(TESTS).as_posix()
    if path in LAYOUT_TESTS and "layout" in metafunc.fixturenames:
        layouts = [pytest.param(each, id=each.value, marks=_marks(each)) for each in Layout]
        metafunc.parametrize("layout", layouts, indirect=True)


def _marks(layout: Layout) -> tuple[pytest.MarkDecorator, ...]:
    """New installations have partitions; how tables of earlier versions are stored takes longer."""
    return () if layout is Layout.PARTITIONED else (pytest.mark.full,)


def _measures_time(path: Path) -> bool:
    return path.relative_to(TESTS).as_posix().startswith(TIMING_TESTS)


def pytest_collection_finish() -> None:
    # Imported modules are never freed. Traversing them in each garbage collection took a quarter
    # of the CPU time.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """
    End connections that a failed test left open: with them, uvloop's loop would never close.

    Its warning about an open transport is an error here, and keeps it from closing that.
    """
    opened: list[asyncpg.Connection] = []
    connect = asyncpg.connect

    async def recorded(*arguments: Any, **options: Any) -> asyncpg.Connection:
        connection = await connect(*arguments, **options)
        if threading.current_thread() is threading.main_thread():  # others have loops of their own
            opened.append(connection)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg, "connect", recorded)
        try:
            return (yield)
        finally:
            for connection in opened:
                if not connection.is_closed():
                    connection.terminate()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the daemon runs on."""
    return {"uvloop": ClosingLoop}


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Undo what commands that run in this process do to the logs of all later tests."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


@pytest.fixture(scope="session", autouse=True)
def trust_only_a_test_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Replace the system's certificate authorities by a single one.

    Tests connect to loopback only, and each daemon would spend time loading the system's.
    """
    folder = tmp_path_factory.mktemp("authority")
    (folder / "one.pem").write_text(Authority("The only authority").pem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "one.pem"))
        patch.setenv("SSL_CERT_DIR", str(folder))
        # Each connection to the tests' PostgreSQL would ask for TLS first, which it does not have.
        patch.setenv("PGSSLMODE", "disable")
        yield


@pytest.fixture(scope="session", autouse=True)
def give_pages_time() -> Iterator[None]:
    """
    Let no page of a search end because this machine is busy.

    A page ends after a tenth of a second, full or not: the first one of a few rows may be empty.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "PAGE_SECONDS", PAGE_SECONDS)
        for limited in (undelivered_events, event_fields, filter_preview):
            patch.setattr(limited, "MOST_SECONDS", PAGE_SECONDS)
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A superuser's URL of the server that this run's tests share."""
    if configured := os.environ.get("WEBHOOKD_TEST_DATABASE_URL"):
        yield configured
        return
    with temporary_server() as url:
        yield url


@pytest.fixture(scope="session")
def daily_template(postgres_url: str) -> Iterator[DailyTemplate]:
    """A database with all migrations applied and no rows in it, to be cloned."""
    with _template(postgres_url, Layout.PARTITIONED) as template:
        yield template


@pytest.fixture(scope="module")
def migrated_template(daily_template: DailyTemplate) -> str:
    """Its name."""
    return daily_template.name()


@contextmanager
def _template(server: str, layout: Layout) -> Iterator[DailyTemplate]:
    template = DailyTemplate(server, lambda url: run_in_new_loop(make(url, layout)))
    yield template
    template.close()


@contextmanager
def _clones_of(template: DailyTemplate) -> Iterator[ClonedDatabases]:
    databases = ClonedDatabases(template)
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def partitioned_databases(daily_template: DailyTemplate) -> Iterator[ClonedDatabases]:
    with _clones_of(daily_template) as databases:
        yield databases


@pytest.fixture(scope="session")
def plain_databases(postgres_url: str) -> Iterator[ClonedDatabases]:
    with _template(postgres_url, Layout.PLAIN) as template, _clones_of(template) as databases:
        yield databases


@pytest.fixture(scope="session")
def converted_databases(postgres_url: str) -> Iterator[ClonedDatabases]:
    with _template(postgres_url, Layout.CONVERTED) as template, _clones_of(template) as databases:
        yield databases


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> Layout:
    """How `webhook_deliveries` is stored in this test's database."""
    return getattr(request, "param", Layout.PARTITIONED)


@pytest.fixture
def database(request: pytest.FixtureRequest, layout: Layout) -> Iterator[str]:
    """The URL of a migrated database for this test alone."""
    databases: ClonedDatabases = request.getfixturevalue(f"{layout.value}_databases")
    with databases.database() as url:
        yield url


@pytest.fixture(scope="module")
def shared_database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """The URL of a migrated database for all tests of a module that ask for it."""
    with temporary_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """The URL of a database without tables for this test alone."""
    with temporary_database(postgres_url) as url:
        yield url


@pytest.fixture
async def app(database: str) -> AsyncIterator[Application]:
    """The main application, connected to this test's database."""
    connection = await asyncpg.connect(database)
    yield Application(connection)
    await connection.close()


@pytest.fixture
async def tenant(app: Application) -> UUID:
    """A new tenant of this test's database."""
    return await app.tenant()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A customer's endpoint on loopback."""
    async with receiving() as started:
        yield started
