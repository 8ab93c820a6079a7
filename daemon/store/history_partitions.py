"""
The partitions of past deliveries: made ahead of time, and dropped whole when all in them expired.

Functions of the schema's owner do it, in `migrations/0023_locks_and_notifications.sql`. Where the
table is not partitioned they do nothing.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from daemon.core.model.backlog import PartitionRange
from daemon.store.errors import translated
from daemon.store.session import Connection

DAY = timedelta(days=1)
# Every look-up by id searches each of them.
MOST_PARTITIONS = 30
# Rows of a whole partition stay until the last of them has expired: at most a tenth longer.
SHORTEST_WHOLE = 10 * DAY

# Others wait for these locks too, while they are waited for and until the transaction ends. A half
# of a statement's time at most is spent under them: the same rows are read before.
LIMITS = """
    SET LOCAL lock_timeout = '50ms';
    SET LOCAL statement_timeout = '500ms';
    SET LOCAL idle_in_transaction_session_timeout = '500ms'
"""
ADD = "SELECT webhook_add_history_partition($1::integer)"
DROP = """
    SELECT name, to_regclass(name) IS NULL AS is_gone
      FROM webhook_drop_history_partition($1::interval) AS name
"""


def days_per_partition(retention: timedelta) -> int:
    """How many days one partition covers, so that there are few of them."""
    return max(1, retention // (MOST_PARTITIONS * DAY))


def kept_longer(retention: timedelta) -> timedelta:
    """How long a row may stay past its retention, so that its partition can be dropped as one."""
    return days_per_partition(retention) * DAY if retention >= SHORTEST_WHOLE else timedelta(0)


async def add(db: Connection, *, retention: timedelta) -> str | None:
    """
    Make the next partition if it is time; return its name. Call in a transaction of its own.

    Raises DatabaseBusyError when its locks are not to be had at once, StatementTimeoutError when
    it takes long, StatementError.
    """
    with translated():
        await db.execute(LIMITS)
        name: str | None = await db.fetchval(ADD, days_per_partition(retention))
        return name


@dataclass(frozen=True, slots=True)
class Expired:
    """A partition that was dropped, or only emptied because something depends on it."""

    name: str
    is_gone: bool


async def drop(db: Connection, *, retention: timedelta) -> Expired | None:
    """
    Drop or empty one partition that has expired. Call in a transaction of its own.

    Raises as `add` does.
    """
    with translated():
        await db.execute(LIMITS)
        row = await db.fetchrow(DROP, retention)
    return None if row["name"] is None else Expired(row["name"], row["is_gone"])


@dataclass(frozen=True, slots=True)
class Dependent:
    """An obstacle to dropping an expired partition, and the role that owns it."""

    partition: str
    object: str
    role: str

    @property
    def sentence(self) -> str:
        """The dependency, for the operator."""
        return (
            f"{self.object} of role {self.role} depends on the expired partition {self.partition}"
        )


FIND_DEPENDENTS = """
    SELECT partition::text, object, pg_catalog.quote_ident(role::text) AS role
      FROM webhook_history_dependents($1::interval)
     ORDER BY 1, 2
"""


async def dependents(db: Connection, *, retention: timedelta) -> list[Dependent]:
    """The obstacles to dropping expired partitions. Raises StatementError."""
    with translated():
        return [Dependent(*row) for row in await db.fetch(FIND_DEPENDENTS, retention)]


DAYS_CHECKED = 3
FIND_MISSING = """
    SELECT day
      FROM (SELECT (now() AT TIME ZONE 'UTC')::date + n AS day
              FROM pg_catalog.generate_series(0, $1::integer - 1) AS n) AS coming
     WHERE to_regclass('webhook_deliveries_history'::text) IS NOT NULL
       AND NOT EXISTS (SELECT FROM webhook_history_partitions() AS p
                        WHERE p.begins <= coming.day AND p.ends > coming.day)
     ORDER BY day
"""


async def missing_days(db: Connection) -> list[date]:
    """
    Those of the next days, today included, that have no partition; none if the table has none.

    Partitions are made a week ahead: what is missing here could not be made for days.
    """
    return [row["day"] for row in await db.fetch(FIND_MISSING, DAYS_CHECKED)]


FIND_RANGE = """
    WITH known AS MATERIALIZED (
        SELECT begins, ends, (now() AT TIME ZONE 'UTC')::date AS today
          FROM webhook_history_partitions()
    )
    SELECT (SELECT pg_catalog.count(*) FROM known) AS partitions,
           (SELECT pg_catalog.count(*)
              FROM pg_catalog.generate_series(1, 7) AS n
             WHERE (SELECT pg_catalog.count(*)
                      FROM pg_catalog.generate_series(0, n) AS m
                     WHERE EXISTS (SELECT FROM known
                                    WHERE begins <= today + m AND ends > today + m)) = n + 1
           ) AS days_ahead,
           coalesce((SELECT pg_catalog.max(today - begins) FROM known), 0) AS oldest_days
"""


async def range_of(db: Connection) -> PartitionRange:
    """Return how far the partitions reach; they are made a week ahead."""
    return PartitionRange(**await db.fetchrow(FIND_RANGE))
