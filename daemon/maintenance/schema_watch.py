"""
Notices when the database's schema is no longer the one that this program was made for.

Nor is it that if its triggers do not fire: rows would be stored, and no daemon would notice them.
It says once whose triggers would run with a superuser's rights, where this role is a superuser, and
whose tables foreign keys lead to, where that role is not trusted.
"""

import asyncio

import structlog

from daemon.core.errors import SchemaError
from daemon.store import foreign_keys, migrations, schema_trust, trigger_state
from daemon.store.database import Database
from daemon.store.foreign_keys import ForeignKey
from daemon.store.writable import require_writable

log = structlog.get_logger()

INTERVAL_SECONDS = 10.0
MOST_NAMED = 3
FIRES_NONE = (
    "session_replication_role is 'replica' for this database, so that no trigger fires: events that"
    " are committed now are not delivered"
)
SOME_DISABLED = "{}: what is written meanwhile is not noticed, and events are not delivered"


class SchemaWatch:
    """
    The loop; `error` is the sentence that says what is wrong, None while the schema fits.

    It fails while the database is read-only, even if no other loop has anything to store.
    """

    name = "schema_watch"

    def __init__(self, database: Database) -> None:
        self.wake = asyncio.Event()
        self._known = migrations.known()  # read once: it is checked again and again
        self.version = self._known[-1].name
        self.error: str | None = None
        self._database = database
        self._owners_checked = False

    async def run_once(self) -> float:
        error = await self._verify()
        if error != self.error:
            if error is None:
                log.info("schema.fits", version=self.version)
            else:
                log.error("schema.changed", reason=error)
            self.error = error
        return INTERVAL_SECONDS

    async def _verify(self) -> str | None:
        async with self._database.connection() as db:
            await require_writable(db)
            try:
                await migrations.verify(db, self._known)
            except SchemaError as error:
                return str(error)
            triggers = await trigger_state.read(db)
            if not self._owners_checked:
                _warn_of_owners(await schema_trust.lesser_owners(db))
                _warn_of_foreign_keys(await foreign_keys.untrusted(db))
                self._owners_checked = True
        if triggers.own_sessions_fire_none:  # they keep the setting until they are replaced
            await self._database.renew_sessions()
        if triggers.fires_none:
            return FIRES_NONE
        if triggers.disabled:
            named = " and ".join(each.sentence for each in triggers.disabled[:MOST_NAMED])
            return SOME_DISABLED.format(named)
        return None


def _warn_of_owners(lesser_owners: list[str]) -> None:
    if lesser_owners:
        log.warning("schema.superuser_on_tables_of_others", owners=lesser_owners)


def _warn_of_foreign_keys(found: list[ForeignKey]) -> None:
    if found:
        log.warning(
            "schema.foreign_keys_to_tables_of_others",
            owners=sorted({each.role for each in found}),
            keys=sorted({f"{each.table}.{each.name}" for each in found}),
        )
