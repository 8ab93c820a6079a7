"""A role beside the owner of the tables, as the application's is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

PASSWORD = "secret"


@asynccontextmanager
async def connected_as_other_role(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a new role without any rights; `database` is a superuser's URL."""
    async with other_role(database) as url:
        connection = await asyncpg.connect(url)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def other_role(database: str) -> AsyncIterator[str]:
    """The URL of a new role without any rights; what it owns is dropped at the end."""
    name = f"other_{uuid4().hex[:12]}"
    owner = await asyncpg.connect(database)
    try:
        await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        url = urlsplit(database)
        yield url._replace(netloc=f"{name}:{PASSWORD}@{url.hostname}:{url.port}").geturl()
    finally:
        await owner.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")
        await owner.close()


async def name_of(connection: asyncpg.Connection) -> str:
    """The name of the role that connected."""
    return str(await connection.fetchval("SELECT session_user"))
