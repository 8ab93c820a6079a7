"""
Rows of the inbox with numbers of transactions that this server has not reached.

They came with a dump of another server: `pg_restore` stores the numbers that rows had there. No
scan for new events finds them before this server's own numbers get there. The rule: each statement
reads a bounded part of the index.
"""

from daemon.store.session import Connection

FIND_FUTURE = """
    WITH future AS MATERIALIZED (
        SELECT xid
          FROM webhook_event_inbox
         WHERE xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
         ORDER BY xid
         LIMIT 1
    )
    SELECT xid::text AS first,
           (SELECT xid::text
              FROM webhook_event_inbox
             WHERE xid >= future.xid
             -- Qualified: `xid` alone would be the text.
             ORDER BY webhook_event_inbox.xid DESC
             LIMIT 1) AS last
      FROM future
"""


async def future_numbers(db: Connection) -> tuple[int, int] | None:
    """Return the first and the last such number; None if there is none."""
    row = await db.fetchrow(FIND_FUTURE)
    return None if row is None else (int(row["first"]), int(row["last"]))


MOST_COUNTED = 10_000
COUNT_FUTURE = f"""
    SELECT pg_catalog.count(*)
      FROM (SELECT
              FROM webhook_event_inbox
             WHERE xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
             ORDER BY xid
             LIMIT {MOST_COUNTED}) AS few
"""  # noqa: S608  made of constants only


async def count(db: Connection) -> int:
    """Count such rows, up to MOST_COUNTED."""
    return int(await db.fetchval(COUNT_FUTURE))
