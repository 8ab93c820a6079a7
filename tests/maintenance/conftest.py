"""A webhook that no test delivers to, and a pool of the test's own database."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from daemon.store.database import Database
from tests.support.application import Application


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
