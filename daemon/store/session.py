"""The settings and limits of a session with PostgreSQL, whether pooled or not."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from daemon.store.identifiers import register_id_codec
from daemon.store.search_path import FIX_PATH
from daemon.store.timestamps import register_time_codec

Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy
# Lends a connection for a block, outside any transaction.
Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]

QUERY_SECONDS = 10.0
CONNECT_SECONDS = 5.0
# What stores results for all webhooks waits no longer for a lock of another transaction.
LOCK_TIMEOUT = "250ms"
# Nor does a request, which keeps a connection from others meanwhile.
LIMIT_LOCK_WAITS = "SET lock_timeout = '400ms'"

# A row policy may call functions of the table's owner: it is refused, never run with our rights.
REFUSE_POLICIES = "SET row_security = off"

# Every query has an index made for it. A planner that has not yet seen the tables grow would scan
# or sort a million rows for a claim of fifty, and keep that plan.
PLANNING = """
    -- Writes outside a durable transaction need not wait for the disk.
    SET synchronous_commit = off;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
    SET enable_mergejoin = off; SET jit = off;
    SET timezone = 'UTC'; SET default_transaction_isolation = 'read committed';
    -- A daemon that is suspended within a transaction must not hold its locks for long.
    SET idle_in_transaction_session_timeout = '5s';
    -- Nor may a query that its client gave up: a server that waits for a lock does not notice. It
    -- gives up before its client does, who then knows that the statement took too long.
    SET statement_timeout = '9s';
"""


# asyncpg looks up the types of parameters and columns that it does not know, by SQL that is not
# exactly typed: another role's operators could be called in it. So it does while only PostgreSQL's
# own schema is searched, for every array that our statements have.
LOOK_TYPES_UP = "SET search_path = pg_catalog"
ARRAYS = """
    SELECT $1::uuid[], $2::text[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bool[],
           $7::interval[], $8::jsonb[], $9::tid[], $10::float8[], $11::varchar[], $12::name[],
           NULL::record[]
"""


async def prepare(connection: Connection) -> None:
    """Plan and bound the queries of this session; read times and ids by our codecs."""
    await connection.execute(f"{PLANNING}; {REFUSE_POLICIES}; {LOOK_TYPES_UP}")
    await register_time_codec(connection)
    await register_id_codec(connection)
    await connection.prepare(ARRAYS)
    await connection.execute(FIX_PATH)


def end_of(connection: Connection) -> Callable[[], bool]:
    """Return a function that tells whether this session has ended, also when it is lent no more."""
    own = connection._con if isinstance(connection, PoolConnectionProxy) else connection
    is_closed: Callable[[], bool] = own.is_closed
    return is_closed


async def keep_plans(connection: Connection) -> None:
    """
    Plan each statement of this session once, for whatever parameters.

    PostgreSQL would plan a statement about one row at every call, because its plan looks cheaper
    than the one for any number: that costs more than running it. The statements of deliveries are
    such that no parameters ask for another plan; searches with optional conditions are not.
    """
    await connection.execute("SET plan_cache_mode = force_generic_plan")


async def limit_lock_waits(connection: Connection) -> None:
    """Let no statement of this session wait for a lock longer than a moment."""
    await connection.execute(LIMIT_LOCK_WAITS)
