"""Checks of the database: its version and our rights in it."""

from collections.abc import AsyncIterator

from daemon.cli.checks.finding import Finding, Mark
from daemon.config import Config
from daemon.store.database import Connection
from daemon.store.privileges import (
    FUNCTIONS,
    LACKING,
    LACKING_FUNCTIONS,
    NEEDED,
    NEEDED_BY_API,
    SILENT_TRIGGERS,
)

OLDEST_POSTGRESQL = 14


async def on_version(db: Connection, loaded: Config) -> Finding:
    version = str(await db.fetchval("SHOW server_version")).partition(" ")[0]
    shown = f"PostgreSQL {version}, {loaded.database.display_name()}"
    if db.get_server_version().major >= OLDEST_POSTGRESQL:
        return Finding(Mark.GOOD, "database", shown)
    return Finding(Mark.WRONG, "database", f"{shown}: must be {OLDEST_POSTGRESQL} or later")


async def on_permissions(db: Connection, loaded: Config) -> AsyncIterator[Finding]:
    """What the daemon's role may not do though the daemon does it."""
    pairs = [(table, privilege) for table in NEEDED for privilege in NEEDED[table]]
    if loaded.admin.tokens:
        pairs += NEEDED_BY_API
    wrong = [
        f"role {row['role']} cannot see {row['name']}"
        if row["unseen"]
        else f"role {row['role']} lacks {row['privilege']} on {row['name']}"
        for row in await db.fetch(LACKING, [table for table, _ in pairs], [p for _, p in pairs])
    ]
    wrong += [
        f"role {row['role']} lacks EXECUTE on {row['name']}"
        for row in await db.fetch(LACKING_FUNCTIONS, FUNCTIONS)
    ]
    wrong += [
        f"the trigger {row['name']} on {row['on_table']} is disabled or missing"
        for row in await db.fetch(SILENT_TRIGGERS)
    ]
    for sentence in dict.fromkeys(wrong):
        yield Finding(Mark.WRONG, "permissions", sentence)
    if not wrong:
        role = await db.fetchval("SELECT current_user::text")
        yield Finding(Mark.GOOD, "permissions", f"role {role} may do all that the daemon does")
