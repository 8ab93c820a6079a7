"""
One PostgreSQL for the whole run, and a database of its own for each test that asks for one.

`WEBHOOKD_TEST_DATABASE_URL`, a superuser's URL, names another server to use instead of ours.
"""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import hypothesis
import pytest
import uvloop

from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.postgres import (
    ClonedDatabases,
    run_in_new_loop,
    temporary_database,
    temporary_server,
)
from tests.support.receiver import Receiver, receiving
from tests.support.scratch import keep_temporary_files_in_memory

# Whoever installs something from elsewhere needs the authorities of this machine.
ORIGINAL_ENVIRONMENT = dict(os.environ)

TESTS = Path(__file__).parent
# They hold that one thing does not delay another, so nothing else may run on the machine.
TIMING_TESTS = (
    "egress/test_crowds.py",
    "faults/test_old_transaction.py",
    "faults/test_outages.py",
    "faults/test_replays.py",
    "faults/test_slow_endpoints.py",
    "faults/test_stops.py",
    "runtime/test_loop.py",
)

# An example that takes long says how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_configure() -> None:
    # A shell ignores SIGINT for what it runs in the background, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidies up, as after an interrupt
    keep_temporary_files_in_memory()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(TESTS).as_posix().startswith(TIMING_TESTS):
            item.add_marker(pytest.mark.timing)


def pytest_collection_finish() -> None:
    # What the imports have made stays: collecting garbage amid it took a quarter of our CPU time.
    gc.collect()
    gc.freeze()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the daemon runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def trust_only_a_test_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test calls the world outside, and all of its authorities take each daemon time to load."""
    folder = tmp_path_factory.mktemp("authority")
    (folder / "one.pem").write_text(Authority("The only one").pem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "one.pem"))
        patch.setenv("SSL_CERT_DIR", str(folder))
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A superuser's URL of the server that all tests of this run share."""
    if given := os.environ.get("WEBHOOKD_TEST_DATABASE_URL"):
        yield given
        return
    with temporary_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """The name of a database with all migrations applied and no rows in it, to be cloned."""
    from daemon.store.migrations import migrate

    with temporary_database(postgres_url) as url:
        run_in_new_loop(migrate(url))
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture(scope="session")
def migrated_databases(postgres_url: str, migrated_template: str) -> Iterator[ClonedDatabases]:
    stock = ClonedDatabases(postgres_url, migrated_template)
    yield stock
    stock.close()


@pytest.fixture
def database(migrated_databases: ClonedDatabases) -> Iterator[str]:
    """The URL of a migrated database that is this test's alone."""
    with migrated_databases.database() as url:
        yield url


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """The URL of a database without a table that is this test's alone."""
    with temporary_database(postgres_url) as url:
        yield url


@pytest.fixture
async def app(database: str) -> AsyncIterator[Application]:
    """The main application, connected to this test's database."""
    connection = await asyncpg.connect(database)
    yield Application(connection)
    await connection.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A customer's endpoint on loopback."""
    async with receiving() as it:
        yield it
