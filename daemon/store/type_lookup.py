"""
Connections that look each of PostgreSQL's own types up once in a process.

asyncpg does so in every session, by a query that costs the server more than all else that a session
does at its start. Types of users are looked up in each session: the next database may have others.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import asyncpg

# PostgreSQL gives the numbers below to its own types; most are the same in every version.
FIRST_USER_TYPE = 16384

# By server version and numbers: what asyncpg's query returned.
_found: dict[tuple[object, frozenset[int]], list[Any]] = {}
# asyncpg repeats its preparation of a statement if the lookup was an unnamed statement too.
_NO_STATEMENT = SimpleNamespace(name="not prepared")


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that takes from the process what an earlier one has looked up."""

    async def _introspect_types(self, numbers: Iterable[int], *more: Any) -> tuple[Any, Any]:
        key = (self.get_server_version(), frozenset(numbers))
        if key in _found:
            return _found[key], _NO_STATEMENT
        types, statement = await super()._introspect_types(numbers, *more)
        if all(each["oid"] < FIRST_USER_TYPE for each in types):
            _found[key] = types
        return types, statement
