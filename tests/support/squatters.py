"""
A database in which everyone may create tables, and a role that takes the names of ours.

Every function of that role counts its calls by other roles, also those that are undone.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tests.support.roles import name_of, other_role

SETUP = """
    GRANT CREATE ON SCHEMA public TO PUBLIC;
    CREATE SEQUENCE hostile_calls;
    GRANT USAGE ON SEQUENCE hostile_calls TO PUBLIC;
"""
FUNCTIONS = """
    CREATE FUNCTION hostile() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        IF current_user <> '{role}' THEN PERFORM nextval('public.hostile_calls'); END IF;
        RETURN 'x';
    END $$;
    CREATE FUNCTION hostile_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM public.hostile();
        RETURN NEW;
    END $$;
"""


@dataclass(frozen=True, slots=True)
class Squatted:
    """`owner` is the URL of the role that migrates, `superuser` that of another administrator."""

    superuser: str
    owner: str
    admin: asyncpg.Connection
    squatter: asyncpg.Connection

    async def calls(self) -> bool:
        """Whether a function of the squatter was called by another role."""
        return bool(await self.admin.fetchval("SELECT is_called FROM hostile_calls"))


@asynccontextmanager
async def squatted(database: str) -> AsyncIterator[Squatted]:
    """`database` is a superuser's URL of a database without tables."""
    async with other_role(database) as owner, other_role(database) as squatter:
        admin = await asyncpg.connect(database)
        hostile = await asyncpg.connect(squatter)
        try:
            await admin.execute(SETUP)
            await hostile.execute(FUNCTIONS.format(role=await name_of(hostile)))
            yield Squatted(database, owner, admin, hostile)
        finally:
            await hostile.close()
            await admin.close()
