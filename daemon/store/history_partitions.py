"""
The partitions of past deliveries: made ahead of time, and dropped whole when all in them expired.

Functions of the schema's owner do it, in `migrations/0015_partitions.sql`. Where the table is not
partitioned they do nothing.
"""

from datetime import timedelta

from daemon.store.errors import translated
from daemon.store.session import Connection

DAY = timedelta(days=1)
# Every look-up by id searches each of them.
MOST_PARTITIONS = 30
# Rows of a whole partition stay until the last of them has expired: at most a tenth longer.
SHORTEST_WHOLE = 10 * DAY

# Others wait for these locks too while they are waited for.
LIMIT_LOCKS = "SET LOCAL lock_timeout = '100ms'"
ADD = "SELECT webhook_add_history_partition($1::integer)"
DROP = "SELECT webhook_drop_history_partition($1::interval)"


def days_per_partition(retention: timedelta) -> int:
    """How many days one partition covers, so that there are few of them."""
    return max(1, retention // (MOST_PARTITIONS * DAY))


def kept_longer(retention: timedelta) -> timedelta:
    """How long a row may stay past its retention, so that its partition can be dropped as one."""
    return days_per_partition(retention) * DAY if retention >= SHORTEST_WHOLE else timedelta(0)


async def add(db: Connection, *, retention: timedelta) -> str | None:
    """
    Make the next partition if it is time; return its name. Call in a transaction of its own.

    Raises DatabaseBusyError when its locks are not to be had at once, StatementError.
    """
    with translated():
        await db.execute(LIMIT_LOCKS)
        name: str | None = await db.fetchval(ADD, days_per_partition(retention))
        return name


async def drop(db: Connection, *, retention: timedelta) -> str | None:
    """
    Drop the oldest partition that has expired; return its name. Call in a transaction of its own.

    Raises DatabaseBusyError when its locks are not to be had at once, StatementError.
    """
    with translated():
        await db.execute(LIMIT_LOCKS)
        name: str | None = await db.fetchval(DROP, retention)
        return name
