"""A daemon that the independent tests of one module share."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.postgres import temporary_database


@pytest.fixture(scope="module")
def shared_database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    with temporary_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(shared_database: str) -> AsyncIterator[ApiClient]:
    connection = await asyncpg.connect(shared_database)
    tenant = await Application(connection).tenant()
    await connection.close()
    async with serving_api(shared_database, tenant, log={"level": "warning"}) as caller:
        yield caller
