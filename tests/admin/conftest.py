"""A daemon that the independent tests of one module share."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(shared_database: str) -> AsyncIterator[ApiClient]:
    connection = await asyncpg.connect(shared_database)
    tenant = await Application(connection).tenant()
    await connection.close()
    async with serving_api(shared_database, tenant, log={"level": "warning"}) as caller:
        yield caller
