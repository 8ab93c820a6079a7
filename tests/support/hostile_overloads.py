"""
Overloads of PostgreSQL's functions and operators, as a role that may create them would make them.

PostgreSQL prefers an overload whose argument types fit better to its own, whatever the order of the
search_path. Between equal types its own comes first, so that only inexact calls are in danger. Rows
of the catalog are copied: 50,000 CREATE statements would take ten seconds.
"""

import re
from collections.abc import Iterator, Sequence
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

# None of our statements has a use for the type that every overload returns, so that most of those
# that would call one cannot even be parsed. A sequence counts calls, also those that are undone.
SETUP = """
    CREATE SEQUENCE public.hostile_calls;
    GRANT USAGE ON SEQUENCE public.hostile_calls TO PUBLIC;
    CREATE TYPE public.hostile AS (is_hostile boolean);
"""
# A plan that would call an overload cannot be made ready by other roles than a superuser.
ORIGINALS = """
    CREATE FUNCTION public.hostile_original(hostile, hostile)
    RETURNS public.hostile LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_catalog.nextval('public.hostile_calls'::regclass);
        RAISE EXCEPTION 'a hostile overload was called';
    END $$;
    REVOKE EXECUTE ON FUNCTION public.hostile_original FROM PUBLIC;
    CREATE OPERATOR public.<->
        (FUNCTION = public.hostile_original, LEFTARG = hostile, RIGHTARG = hostile)
"""
FIRST_NUMBER = 4_000_000_000  # no object of a small database has one of these
NUMBERS = "SELECT type, type::regtype::oid AS number FROM unnest($1::text[]) type"
# The columns differ between versions of PostgreSQL.
COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
COPY_FUNCTION = """
    INSERT INTO pg_proc ({columns})
    SELECT {values}
      FROM pg_proc, unnest($1::oid[], $2::text[], $3::text[]) made (number, name, types)
     WHERE pg_proc.proname = 'hostile_original'
"""
COPIED_FUNCTION = {
    "oid": "made.number",
    "proname": "made.name",
    "pronargs": "cardinality(string_to_array(made.types, ' '))",
    "proargtypes": "made.types::oidvector",
}
COPY_OPERATOR = """
    INSERT INTO pg_operator ({columns})
    SELECT {values}
      FROM pg_operator,
           unnest($1::oid[], $2::text[], $3::oid[], $4::oid[], $5::oid[])
               made (number, name, function, first, second)
     WHERE pg_operator.oprcode = 'public.hostile_original'::regproc
"""
COPIED_OPERATOR = {
    "oid": "made.number",
    "oprname": "made.name",
    "oprcode": "made.function",
    "oprleft": "made.first",
    "oprright": "made.second",
}

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


async def create_overloads(db: asyncpg.Connection, role: str) -> None:
    """Create overloads, as `role`, of all functions and operators that our SQL calls."""
    await db.execute(SETUP)
    await db.execute(f"SET ROLE {role}; {ORIGINALS}; RESET ROLE")
    numbers = dict(await db.fetch(NUMBERS, TYPES))
    pairs = list(product(TYPES, TYPES))
    functions = [(f"hostile_{n}", pair) for n, pair in enumerate(pairs)] + await _functions(db)
    operators = [
        (name, FIRST_NUMBER + n, numbers[left], numbers[right])
        for n, (left, right) in enumerate(pairs)
        for name in OPERATORS
    ]
    await db.execute("SET allow_system_table_mods = on")
    await db.execute(
        await _copying(db, COPY_FUNCTION, "pg_proc", COPIED_FUNCTION),
        _numbers(functions),
        [name for name, _ in functions],
        [" ".join(str(numbers[each]) for each in types) for _, types in functions],
    )
    await db.execute(
        await _copying(db, COPY_OPERATOR, "pg_operator", COPIED_OPERATOR),
        _numbers(operators),
        *(list(column) for column in zip(*operators, strict=True)),
    )
    await db.execute("RESET allow_system_table_mods")


def _numbers(made: Sequence[object]) -> list[int]:
    return [FIRST_NUMBER + n for n in range(len(made))]


async def _copying(db: asyncpg.Connection, sql: str, table: str, changed: dict[str, str]) -> str:
    """The statement that copies a row of a catalog's table, except for some of its columns."""
    columns = [row[0] for row in await db.fetch(COLUMNS, table)]
    values = [changed.get(column, f"{table}.{column}") for column in columns]
    return sql.format(columns=", ".join(columns), values=", ".join(values))


async def were_called(db: asyncpg.Connection) -> bool:
    """Whether any overload was called."""
    return bool(await db.fetchval("SELECT is_called FROM public.hostile_calls"))


async def _functions(db: asyncpg.Connection) -> list[tuple[str, tuple[str, ...]]]:
    """The names of the functions that our SQL calls, each with types of its arguments."""
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
        (name, types)
        for name, count in sorted(calls)
        if count in TYPES_BY_ARITY
        for types in product(TYPES_BY_ARITY[count], repeat=count)
        if f"{name}({', '.join(types)})" not in own
    ]
