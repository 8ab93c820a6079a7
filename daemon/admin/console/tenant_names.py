"""
The names of tenants on pages of operators, as the application keeps them.

The rule: names are a help. Where they cannot be read, pages show ids.
"""

import time
from collections.abc import Iterable

from daemon.core.errors import WebhookdError
from daemon.core.model.ids import TenantId
from daemon.store import tenants
from daemon.store.database import Database

KEPT_SECONDS = 60.0
MOST_KEPT = 10_000


class TenantNames:
    """Reads names, each once a minute at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[TenantId, tuple[float, str | None]] = {}

    async def of(self, ids: Iterable[TenantId]) -> dict[TenantId, str]:
        """The names of those of these tenants that have one."""
        wanted = set(ids)
        oldest = time.monotonic() - KEPT_SECONDS
        unknown = [each for each in wanted if self._kept.get(each, (oldest, None))[0] <= oldest]
        if unknown:
            await self._read(unknown)
        found = ((each, self._kept.get(each, (0.0, None))[1]) for each in wanted)
        return {tenant_id: name for tenant_id, name in found if name}

    async def _read(self, ids: list[TenantId]) -> None:
        try:
            async with self._database.connection() as db:
                names = await tenants.names(db, ids)
        except WebhookdError:  # the database is away: the page says so where it matters
            return
        if len(self._kept) + len(ids) > MOST_KEPT:
            self._kept.clear()
        now = time.monotonic()
        self._kept |= {each: (now, names.get(each)) for each in ids}
