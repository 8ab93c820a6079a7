"""Daemons that the independent tests of one module share, and a mail server."""

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.mailserver import MailHost, mail_host
from tests.support.shared_daemon import SharedDaemon, shared_daemon


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(shared_database: str) -> AsyncIterator[ApiClient]:
    connection = await asyncpg.connect(shared_database)
    tenant = await Application(connection).tenant()
    await connection.close()
    async with serving_api(shared_database, tenant, log={"level": "warning"}) as caller:
        yield caller


@pytest.fixture(scope="module")
def shared(shared_database: str) -> Iterator[SharedDaemon]:
    with shared_daemon(shared_database) as running:
        yield running


@pytest.fixture
async def api(shared: SharedDaemon) -> AsyncIterator[ApiClient]:
    """A client of a new tenant, at the module's `shared` daemon."""
    async with shared.client() as caller:
        yield caller


@pytest.fixture
async def own_api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    """A client of a daemon that has the test's own database."""
    async with serving_api(database, tenant) as caller:
        yield caller


@pytest.fixture
def host() -> Iterator[MailHost]:
    with mail_host() as running:
        yield running
