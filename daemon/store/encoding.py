"""The database's encoding, which must be UTF-8."""

from daemon.core.errors import ConfigError
from daemon.store.session import Connection

ENCODING = "SELECT pg_catalog.getdatabaseencoding()::text"
NEEDED = "UTF8"
NOT_UTF8 = (
    "the database's encoding is {}, and it must be UTF8: create a database with ENCODING 'UTF8'"
    " TEMPLATE template0, and restore a dump of this one into it"
)


async def encoding_mistake(db: Connection) -> str | None:
    """
    Return what is wrong with the encoding of the database; None if nothing is.

    In any other, a text may be stored that PostgreSQL or we cannot give back in UTF-8: a single row
    would fail every statement that reads it among those of others. Or some characters of a payload
    or a response could not be stored.
    """
    encoding = await db.fetchval(ENCODING)
    return None if encoding == NEEDED else NOT_UTF8.format(encoding)


async def require_utf8(db: Connection) -> None:
    """Raise ConfigError unless the database's encoding is UTF-8."""
    if mistake := await encoding_mistake(db):
        raise ConfigError([f"database.url: {mistake}"])
