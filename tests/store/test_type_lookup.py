"""Types: PostgreSQL's own are looked up once in a process, those of users in each session."""

from collections.abc import Iterable
from uuid import uuid4

import asyncpg
import pytest

from daemon.store import type_lookup
from daemon.store.connection import connected

TIMES = "SELECT $1::uuid[] || $1::uuid[]"


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The numbers of the types that asyncpg looked up, in the order of its queries."""
    asked: list[set[int]] = []
    look_up = asyncpg.Connection._introspect_types

    async def recorded(self: object, numbers: Iterable[int], *more: object) -> object:
        asked.append(set(numbers))
        return await look_up(self, numbers, *more)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", recorded)
    monkeypatch.setattr(type_lookup, "_found", {})
    return asked


async def test_a_second_session_looks_no_type_of_postgresql_up(
    database: str, lookups: list[set[int]]
) -> None:
    ids = [uuid4()]

    async with connected(database) as first:
        assert await first.fetchval(TIMES, ids) == ids * 2
        assert len(lookups) == 1
    async with connected(database) as second:
        assert await second.fetchval(TIMES, ids) == ids * 2

    assert len(lookups) == 1


async def test_a_type_of_users_is_looked_up_in_each_session(
    empty_database: str, lookups: list[set[int]]
) -> None:
    async with connected(empty_database) as first:
        await first.execute("CREATE TYPE pair AS (a int, b text)")
        assert await first.fetchval("SELECT (1, 'x')::pair") == (1, "x")
    async with connected(empty_database) as second:
        await second.execute("ALTER TYPE pair ADD ATTRIBUTE c int")
        assert await second.fetchval("SELECT (1, 'x', 2)::pair") == (1, "x", 2)

    assert len(lookups) == 3
