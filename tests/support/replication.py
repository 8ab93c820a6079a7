"""Logical replication from an application's database to another one, between two servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.support.daemons import until

# Until every table is copied, transactions are not prepared here whatever the options are.
COPIED = """
    SELECT NOT EXISTS (SELECT FROM pg_subscription_rel WHERE srsubstate <> 'r')
           AND NOT EXISTS (SELECT FROM pg_subscription AS s
                            WHERE to_jsonb(s) ->> 'subtwophasestate' = 'p')
"""
# A transaction that is open in the publisher's server keeps a subscription from beginning.
TIMEOUT_SECONDS = 30


@asynccontextmanager
async def subscribed(
    publisher: str, subscriber: str, *tables: str, options: str = ""
) -> AsyncIterator[None]:
    """
    Replicate these tables until the block ends; what they held before is copied when it begins.

    Both URLs are superusers'. `options` are more of CREATE SUBSCRIPTION, each after a comma.
    """
    source = await asyncpg.connect(publisher, command_timeout=TIMEOUT_SECONDS)
    target = await asyncpg.connect(subscriber, command_timeout=TIMEOUT_SECONDS)
    try:
        await source.execute(f"CREATE PUBLICATION application FOR TABLE {', '.join(tables)}")
        # The slot's name is for the whole server of the publisher.
        slot = f"slot_{await source.fetchval('SELECT current_database()')}"
        await target.execute(
            f"CREATE SUBSCRIPTION copies CONNECTION '{publisher}' PUBLICATION application"
            f" WITH (slot_name = '{slot}'{options})"
        )
        await until(lambda: target.fetchval(COPIED))
        yield
    finally:
        await target.execute("DROP SUBSCRIPTION IF EXISTS copies")
        await target.close()
        await source.close()
