"""A tenant with one webhook; no test delivers to it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from daemon.store.database import Database
from tests.support.application import Application


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@pytest.fixture
async def webhook(app: Application, tenant: UUID) -> UUID:
    return await app.webhook(tenant, "https://example.com")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Database]:
    """A pool of the test's own database."""
    opened = Database(database, size=2)
    await opened.open()
    yield opened
    await opened.close(within=timedelta(seconds=2))
