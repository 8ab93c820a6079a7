"""
Overloads of PostgreSQL's functions and operators, as a role that may create them would make them.

PostgreSQL prefers an overload whose argument types fit better to its own, whatever the order of the
search_path. Between equal types its own comes first, so that only inexact calls are in danger.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from pkgutil import iter_modules

import asyncpg

from daemon import store
from daemon.store import audit, migrations

# All types that our statements and tables have, and some that PostgreSQL converts to them.
TYPES = (
    *("text", "varchar", "name", "bpchar", "smallint", "integer", "bigint", "numeric", "float8"),
    *("oid", "boolean", "uuid", "timestamptz", "timestamp", "date", "interval", "jsonb", "json"),
    *("jsonpath", "xid8", "tid", "bytea", "regclass", "regprocedure", "uuid[]", "text[]", "tid[]"),
    *("bigint[]", "xid8[]", "timestamptz[]", "jsonb[]", "name[]"),
)
# Those of the arguments of functions that take several: all combinations would be too many.
TYPES_OF_TWO = (
    *("text", "varchar", "name", "integer", "bigint", "numeric", "boolean", "uuid", "timestamptz"),
    *("interval", "jsonb", "jsonpath", "oid", "regclass", "regprocedure", "tid", "uuid[]", "tid[]"),
)
TYPES_OF_THREE = (
    *("text", "varchar", "name", "integer", "bigint", "boolean", "jsonb", "jsonpath"),
    "regprocedure",
)
TYPES_BY_ARITY = {1: TYPES, 2: TYPES_OF_TWO, 3: TYPES_OF_THREE}
OPERATORS = (
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "||",
    "~~",
    "->",
    "->>",
    "#>",
    "#>>",
)

CALLED = re.compile(r"\b([a-z][a-z0-9_]*)\(")
STATEMENT = re.compile(r"(SELECT|WITH|INSERT|UPDATE|DELETE)\b")
COMMENT = re.compile(r"--.*")

BATCH = 500
# None of our statements has a use for the type that every overload returns, so that most of those
# that would call one cannot even be parsed. A sequence counts calls, also those that are undone.
SETUP = """
    CREATE SEQUENCE public.hostile_calls;
    GRANT USAGE ON SEQUENCE public.hostile_calls TO PUBLIC;
    CREATE TYPE public.hostile AS (is_hostile boolean);
"""
BODY = """
    RETURNS public.hostile LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_catalog.nextval('public.hostile_calls'::regclass);
        RAISE EXCEPTION 'a hostile overload was called';
    END $$
"""

FIND_FUNCTIONS = """
    SELECT DISTINCT proname AS name, pronargs AS arguments, provariadic <> 0 AS is_variadic
      FROM pg_proc
     WHERE proname = ANY ($1) AND prorettype <> 'trigger'::regtype
"""
FIND_OWN_FUNCTIONS = """
    SELECT proname || '(' || oidvectortypes(proargtypes) || ')' FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace
"""


def statements() -> dict[str, str]:
    """Every SQL statement that is a constant of `daemon.store`, by module and name."""
    found = {f"{name}": text for name, text in _constants() if "{" not in text.replace("'{", "")}
    for rows in (audit.OF_ALL, audit.OF_TENANT):
        for text in (audit.LIST_RECORDS, audit.FIND_LAST_READ):
            found[f"audit: {len(found)}"] = text.format(range=rows)
    return found


def _constants() -> Iterator[tuple[str, str]]:
    for module in iter_modules(store.__path__):
        for name, value in vars(import_module(f"daemon.store.{module.name}")).items():
            for text in value.values() if isinstance(value, dict) else [value]:
                if isinstance(text, str) and STATEMENT.match(COMMENT.sub("", text).strip()):
                    yield f"{module.name}.{name}: {hash(text)}", text


async def create_overloads(db: asyncpg.Connection, role: str) -> int:
    """
    Create overloads, as `role`, of all functions and operators that our SQL calls.

    Returns how many. Each counts its calls, see `calls`.
    """
    await db.execute(SETUP)
    await db.execute(f"SET ROLE {role}")
    made = [*_operators(), *await _functions(db)]
    for start in range(0, len(made), BATCH):
        await db.execute(";".join(made[start : start + BATCH]))
    await db.execute("RESET ROLE")
    # A plan that would call one cannot be made ready by other roles than a superuser.
    await db.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    return len(made)


async def were_called(db: asyncpg.Connection) -> bool:
    """Whether any overload was called."""
    return bool(await db.fetchval("SELECT is_called FROM public.hostile_calls"))


def _operators() -> Iterator[str]:
    for number, (left, right) in enumerate(product(TYPES, TYPES)):
        function = f"public.hostile_{number}"
        yield f"CREATE FUNCTION {function}({left}, {right}) {BODY}"
        for name in OPERATORS:
            yield (
                f"CREATE OPERATOR public.{name}"
                f" (FUNCTION = {function}, LEFTARG = {left}, RIGHTARG = {right})"
            )


async def _functions(db: asyncpg.Connection) -> list[str]:
    texts = [*statements().values(), *(migration.sql for migration in migrations.known())]
    names = {name for text in texts for name in CALLED.findall(text)}
    calls = {
        (row["name"], count)
        for row in await db.fetch(FIND_FUNCTIONS, sorted(names))
        # Arguments with defaults may be left out, and a variadic one may be several.
        for count in range(1, 4 if row["is_variadic"] else row["arguments"] + 1)
    }
    own = {row[0] for row in await db.fetch(FIND_OWN_FUNCTIONS)}
    return [
        f"CREATE FUNCTION public.{name}({', '.join(types)}) {BODY}"
        for name, count in sorted(calls)
        if count in TYPES_BY_ARITY
        for types in product(TYPES_BY_ARITY[count], repeat=count)
        if f"{name}({', '.join(types)})" not in own
    ]
