"""A tenant with one webhook; no test delivers to it."""

from uuid import UUID

import pytest

from tests.support.application import Application


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@pytest.fixture
async def webhook(app: Application, tenant: UUID) -> UUID:
    return await app.webhook(tenant, "https://example.com")
