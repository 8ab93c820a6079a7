"""
Knows what is held, for the log, the health and the metrics.

The rule: nothing that is sent depends on what is known here. Each claim looks for itself
(`store.holds`); this says so, and makes a hold and a release take effect sooner.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import structlog

from daemon.core.model.holds import Hold
from daemon.core.model.ids import TenantId
from daemon.runtime.metrics import Metrics
from daemon.store import holds
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

INTERVAL_SECONDS = 15.0  # changes are announced; readiness expects a turn within 25
MOST_KNOWN = 1000
MOST_LOGGED = 100


class HoldWatch:
    """
    The loop.

    It calls `on_hold` with the tenants that are newly held, None for everything, and `on_release`
    once something that was held is not any more.
    """

    name = "hold_watch"

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        *,
        on_hold: Callable[[Collection[TenantId] | None], None],
        on_release: Callable[[], None],
        wake: asyncio.Event,
    ) -> None:
        self.wake = wake
        self._database = database
        self._on_hold = on_hold
        self._on_release = on_release
        self._held: Mapping[TenantId | None, Hold] = {}
        gauges = metrics.pipeline
        gauges.everything_held.set_function(lambda: int(self.everything_since is not None))
        gauges.tenants_held.set_function(lambda: self.tenants)

    @property
    def everything_since(self) -> datetime | None:
        """Since when everything is held; None if it is not."""
        hold = self._held.get(None)
        return None if hold is None else hold.since

    @property
    def tenants(self) -> int:
        """How many tenants have a hold of their own, up to a bound."""
        return len(self._held.keys() - {None})

    @property
    def tenants_since(self) -> datetime | None:
        """When the first of these was held; None if there is none."""
        since = (each.since for each in self._held.values() if each.tenant_id is not None)
        return min(since, default=None)

    async def run_once(self) -> float:
        async with self._database.connection() as db:
            found = await holds.list_all(db, limit=MOST_KNOWN)
            before, self._held = self._held, {each.tenant_id: each for each in found}
            if begun := [hold for key, hold in self._held.items() if key not in before]:
                self._begin(begun)
            if ended := [hold for key, hold in before.items() if key not in self._held]:
                self._on_release()
                await _log_released(db, ended[:MOST_LOGGED])
        return INTERVAL_SECONDS

    def _begin(self, held: Sequence[Hold]) -> None:
        for hold in held:
            fields = _fields(hold) | {"held_by": hold.held_by, "reason": hold.reason}
            log.warning("deliveries.held", **fields)
        tenants = {hold.tenant_id for hold in held if hold.tenant_id is not None}
        self._on_hold(tenants if len(tenants) == len(held) else None)


async def _log_released(db: Connection, released: Sequence[Hold]) -> None:
    for hold in released:
        released_by, reason = await holds.last_release(db, hold.tenant_id)
        fields = _fields(hold) | {"released_by": released_by, "reason": reason}
        log.warning("deliveries.released", **fields)


def _fields(hold: Hold) -> dict[str, object]:
    what = "everything" if hold.tenant_id is None else "tenant"
    tenant = {} if hold.tenant_id is None else {"tenant_id": str(hold.tenant_id)}
    return {"what": what, **tenant, "since": hold.since.isoformat()}
