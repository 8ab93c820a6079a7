"""
Logical subscribers: whether the rows that replication brings are found, and what makes it so.

The workers of a subscription fire no ordinary trigger, so that an event would get no row in the
inbox. With `enable`, the triggers of the application's tables fire for them as well; what was there
before the subscription is history, and is not sent. See `migrations/0034_subscribers.sql`.
"""

from dataclasses import dataclass
from datetime import timedelta

from daemon.core.errors import MigrationError
from daemon.store.migrations import exclusive, with_brief_locks
from daemon.store.session import Connection

INBOX = "webhook_event_inbox"
TABLES = ("webhook_events", "webhooks", "webhook_deliveries")
COMMAND = "webhookd migrate --subscriber"
LONG_WAIT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A table that gets rows by a subscription; both names are quoted."""

    table: str
    name: str


FIND_SUBSCRIPTIONS = """
    SELECT r.srrelid::regclass::text AS table, pg_catalog.quote_ident(s.subname::text) AS name
      FROM pg_catalog.unnest($1::text[]) AS ours (name)
      JOIN pg_catalog.pg_subscription_rel AS r ON r.srrelid = to_regclass(ours.name)::oid
      JOIN pg_catalog.pg_subscription AS s ON s.oid = r.srsubid
     ORDER BY 1, 2
"""


async def subscriptions(db: Connection) -> list[Subscription]:
    """Return what gets rows by subscriptions: tables of the application's, and the inbox."""
    return [Subscription(*row) for row in await db.fetch(FIND_SUBSCRIPTIONS, [*TABLES, INBOX])]


# A worker that fails is started again every few seconds, and ends at once.
FIND_STOPPED = """
    SELECT name, is_enabled, pids IS NOT NULL AS waits
      FROM (SELECT DISTINCT pg_catalog.quote_ident(s.subname::text) AS name,
                            s.subenabled AS is_enabled,
                            (SELECT pg_catalog.array_agg(worker.pid)
                               FROM pg_catalog.pg_stat_get_subscription(s.oid) AS worker
                              WHERE worker.relid IS NULL AND worker.pid IS NOT NULL) AS pids
              FROM pg_catalog.unnest($1::text[]) AS ours (name)
              JOIN pg_catalog.pg_subscription_rel AS r ON r.srrelid = to_regclass(ours.name)::oid
              JOIN pg_catalog.pg_subscription AS s ON s.oid = r.srsubid) AS subscription
     WHERE pids IS NULL
        OR EXISTS (SELECT FROM pg_catalog.pg_locks AS awaited
                    WHERE awaited.pid = ANY (pids) AND awaited.waitstart < now() - $2::interval)
     ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class StoppedSubscription:
    """
    A subscription by which nothing comes; the name is quoted.

    It is not `is_enabled`, or its worker fails, or the worker `waits` for a lock.
    """

    name: str
    is_enabled: bool
    waits: bool

    @property
    def reason(self) -> str:
        """Why nothing comes by it."""
        if not self.is_enabled:
            return "it is disabled (ALTER SUBSCRIPTION … ENABLE)"
        if self.waits:
            return "its worker waits for a lock of another session (pg_locks, pg_blocking_pids)"
        return "its worker does not run; PostgreSQL's log says why"


async def stopped(db: Connection) -> list[StoppedSubscription]:
    """Return the subscriptions of our tables by which nothing comes."""
    rows = await db.fetch(FIND_STOPPED, [*TABLES, INBOX], LONG_WAIT)
    return [StoppedSubscription(*row) for row in rows]


# Those of statements cannot fire, and those of the application are its own.
ROW_TRIGGERS = """
    row_triggers AS MATERIALIZED (
        SELECT t.tgname AS name, t.tgrelid AS table_id, t.tgenabled AS fires
          FROM pg_catalog.pg_trigger AS t
          JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
         WHERE t.tgrelid IN (to_regclass('webhook_events'::text)::oid,
                             to_regclass('webhooks'::text)::oid,
                             to_regclass('webhook_deliveries'::text)::oid)
           AND NOT t.tgisinternal AND (t.tgtype & '1'::smallint) <> '0'::smallint
           AND p.proname::text LIKE 'webhook%'
           AND p.pronamespace = (SELECT c.relnamespace FROM pg_catalog.pg_class AS c
                                  WHERE c.oid = to_regclass('webhook_event_inbox'::text)::oid)
    )"""

IS_ENABLED = f"""
    WITH {ROW_TRIGGERS}
    SELECT NOT EXISTS (SELECT FROM row_triggers AS t WHERE t.fires = 'O'::"char")
           AND NOT EXISTS (SELECT FROM pg_catalog.unnest($1::text[]) AS ours (name)
                             LEFT JOIN row_triggers AS t ON t.name::text = ours.name
                            WHERE t.fires IS NULL OR t.fires NOT IN ('R'::"char", 'A'::"char"))
"""  # noqa: S608  made of constants only


async def is_enabled(db: Connection) -> bool:
    """Whether rows that replication brings are found."""
    return bool(await db.fetchval(IS_ENABLED, list(TRIGGERS)))


async def subscriptions_in_vain(db: Connection) -> list[Subscription]:
    """Those whose rows are not found. None where the inbox is replicated: that is a copy."""
    found = await subscriptions(db)
    is_copy = any(each.table == INBOX for each in found)
    return [] if not found or is_copy or await is_enabled(db) else found


IS_WANTED = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                    WHERE t.tgrelid = to_regclass('webhook_events'::text)::oid
                      AND t.tgname::text = 'webhook_events_replicated')
"""

IS_OLD_EVENT = "webhook_rows_are_copied('webhook_events'::regclass::oid)"
IS_OLD_DELIVERY = "webhook_rows_are_copied('webhook_deliveries'::regclass::oid)"
# By name: their table, when they fire, and the function they call.
TRIGGERS = {
    "webhook_events_replicated": (
        "webhook_events",
        "AFTER INSERT",
        f"WHEN (NOT {IS_OLD_EVENT})",
        "webhook_event_replicated",
    ),
    "webhook_events_known": ("webhook_events", "BEFORE INSERT", "", "webhook_event_known"),
    "webhook_deliveries_copied": (
        "webhook_deliveries",
        "BEFORE INSERT",
        f"WHEN (NEW.status::text = 'pending_retry' AND {IS_OLD_DELIVERY})",
        "webhook_delivery_copied",
    ),
    "webhooks_replicated": ("webhooks", "BEFORE INSERT OR UPDATE", "", "webhook_replicated"),
    "webhooks_deletion_replicated": (
        "webhooks",
        "AFTER DELETE",
        "",
        "webhook_deletion_replicated",
    ),
    "webhooks_new_id_replicated": (
        "webhooks",
        "AFTER UPDATE",
        "WHEN (NEW.id <> OLD.id)",
        "webhook_deletion_replicated",
    ),
}
ALWAYS_FIRE = f"""
    WITH {ROW_TRIGGERS}
    SELECT pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I'::text,
                             t.table_id::regclass, t.name) AS statement
      FROM row_triggers AS t
     WHERE t.fires = 'O'::"char"
"""  # noqa: S608  made of constants only


async def enable(url: str, *, asked: bool, dry_run: bool = False, pooled: bool = False) -> bool:
    """
    Let the triggers fire for replicated rows, too, if that was `asked` for now or earlier.

    Migrations since then may have created triggers. Returns whether there was something to do; with
    `dry_run` nothing is done. Raises MigrationError where the inbox is replicated as well.
    """
    async with exclusive(url, pooled=pooled) as connection:
        if not (asked or await connection.fetchval(IS_WANTED)) or await is_enabled(connection):
            return False
        for each in await subscriptions(connection):
            if each.table == INBOX:
                raise MigrationError(
                    f"the subscription {each.name} replicates {INBOX}, too: this database is a copy"
                    " of an installation, and nothing is to be sent from it"
                )
        if not dry_run:
            await with_brief_locks(connection, lambda: _create(connection), name=COMMAND)
        return True


async def _create(connection: Connection) -> None:
    for name, (table, event, condition, function) in TRIGGERS.items():
        await connection.execute(
            f"CREATE OR REPLACE TRIGGER {name} {event} ON {table}"
            f" FOR EACH ROW {condition} EXECUTE FUNCTION {function}()"
        )
        # Where the application inserts rows itself, the ordinary triggers do the same.
        await connection.execute(f"ALTER TABLE {table} ENABLE REPLICA TRIGGER {name}")
    for row in await connection.fetch(ALWAYS_FIRE):
        await connection.execute(row["statement"])
