"""
To which installation this database belongs, by name: a copy of the database takes it along.

The rule: a daemon with a name sends nothing from a database with another. Each claim compares them,
so that a dump which is restored under a running daemon is not sent from either.
"""

from dataclasses import dataclass

from daemon.store.session import Connection


def belongs_to(name: str) -> str:
    """SQL: whether the database belongs to the installation of this parameter; NULL: to any."""
    return f"""({name}::text IS NULL OR EXISTS (
                SELECT FROM webhook_installation AS owner
                 WHERE owner.is_only AND owner.name = {name}::text))"""


NAME = "SELECT name FROM webhook_installation"


async def name_of(db: Connection) -> str | None:
    """The name of the installation; None if the database has none yet."""
    found = await db.fetchval(NAME)
    return None if found is None else str(found)


TAKE = """
    INSERT INTO webhook_installation (name)
    VALUES ($1)
        ON CONFLICT (is_only) DO NOTHING
"""


async def take(db: Connection, name: str) -> str | None:
    """Give the database this name if it has none; returns the one that it has then."""
    found = await name_of(db)
    if found is None:
        await db.execute(TAKE, name)
        found = await name_of(db)
    return found


ADOPT = """
    INSERT INTO webhook_installation (name)
    VALUES ($1)
        ON CONFLICT (is_only) DO UPDATE SET name = excluded.name, adopted_at = now()
"""


async def adopt(db: Connection, name: str) -> None:
    """Give the database this name, whatever it has."""
    await db.execute(ADOPT, name)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Bounded counts of unsent attempts, due now or later, and of unsent events."""

    due: int
    later: int
    events: int


MOST_COUNTED = 100_000
COUNT_WAITING = """
    SELECT (SELECT count(*)
              FROM (SELECT FROM webhook_deliveries
                     WHERE status::text = 'pending_retry' AND next_retry_at <= now()
                     LIMIT $1) AS due) AS due,
           (SELECT count(*)
              FROM (SELECT FROM webhook_deliveries
                     WHERE status::text = 'pending_retry' AND next_retry_at > now()
                     LIMIT $1) AS later) AS later,
           (SELECT count(*) FROM (SELECT FROM webhook_event_inbox LIMIT $1) AS event) AS events
"""


async def count_waiting(db: Connection) -> Waiting:
    """Count what waits, each up to MOST_COUNTED."""
    row = await db.fetchrow(COUNT_WAITING, MOST_COUNTED)
    return Waiting(row["due"], row["later"], row["events"])
