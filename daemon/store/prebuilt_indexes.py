"""
Indexes that were built before the migration that creates them, without holding up writers.

The rule: one that is valid, and is what the migrations make of it in the end, is kept. Migrations
build theirs under a lock, which is nothing in a new table and minutes in a large one.
"""

from dataclasses import dataclass

from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Index:
    """An index on one of the specification's large tables; `on` is as PostgreSQL prints it."""

    name: str
    table: str
    on: str


TENANT_AND_TYPE = Index(
    "idx_webhook_events_tenant_type", "webhook_events", "(tenant_id, event_type, created_at)"
)
OF_TENANT = Index(
    "webhook_events_of_tenant",
    "webhook_events",
    "(tenant_id, created_at, id) WHERE (tenant_id IS NOT NULL)",
)
OF_WEBHOOK = Index(
    "idx_webhook_deliveries_webhook",
    "webhook_deliveries",
    "(webhook_id, attempted_at, id) WHERE (webhook_id IS NOT NULL)",
)
DUE = Index(
    "webhook_deliveries_due",
    "webhook_deliveries",
    "(webhook_id, next_retry_at) WHERE ((status)::text = 'pending_retry'::text)",
)
OF_EVENT = Index("webhook_deliveries_of_event", "webhook_deliveries", "(event_id, webhook_id)")
OF_REPLAY = Index(
    "webhook_deliveries_of_replay",
    "webhook_deliveries",
    "(replay_id, next_retry_at)"
    " WHERE ((replay_id IS NOT NULL) AND ((status)::text = 'pending_retry'::text))",
)
INDEXES = (TENANT_AND_TYPE, OF_TENANT, OF_WEBHOOK, DUE, OF_EVENT, OF_REPLAY)

FIND_VALID = """
    SELECT i.indexrelid::regclass::text AS name,
           pg_catalog.split_part(pg_catalog.pg_get_indexdef(i.indexrelid), ' USING btree '::text, 2)
               AS definition
      FROM pg_catalog.pg_index AS i
     WHERE i.indrelid = to_regclass($1::text)::oid AND i.indisvalid
"""


async def built(connection: Connection, table: str) -> set[str]:
    """The names of those of this table that are valid and in their last form."""
    wanted = {each.name: each.on for each in INDEXES if each.table == table}
    found = await connection.fetch(FIND_VALID, table)
    return {each["name"] for each in found if wanted.get(each["name"]) == each["definition"]}


async def kept(connection: Connection, sql: str) -> str:
    """The text of a migration, without what would replace indexes that were built beforehand."""
    names: set[str] = set()
    for table in {each.table for each in INDEXES}:
        names |= await built(connection, table)
    for name in names:
        sql = sql.replace(f"\nCREATE INDEX {name} ", f"\nCREATE INDEX IF NOT EXISTS {name} ")
        sql = sql.replace(f"\nDROP INDEX {name};\n", "\n\n")
    if OF_REPLAY.name in names:  # its column is as old as the index
        sql = sql.replace("ADD COLUMN replay_id ", "ADD COLUMN IF NOT EXISTS replay_id ")
    return sql
