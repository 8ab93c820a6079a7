"""A tenant with one webhook, which no test delivers to."""

from uuid import UUID

import pytest

from tests.support.application import Application


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@pytest.fixture
async def webhook(app: Application, tenant: UUID) -> UUID:
    return await app.webhook(tenant, "https://example.com")
