"""
Claims of tenants for which claiming takes long, made apart from all others'.

A claim may have to pass hundreds of thousands of dead rows, while a transaction that stays open
keeps vacuum from removing them. The rule: a tenant's claims delay no other tenant's; they take few
connections, and a share of the time.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from daemon.core.errors import DatabaseUnavailableError
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.lanes import LaneTurn
from daemon.core.scheduling.slow_tenants import SlowTenants

log = structlog.get_logger()

# For one tenant in a claim of many. An index that is in order takes a thousandth of it.
SLOW_SECONDS = 0.02
TENANTS_AT_ONCE = 2
# A tenant rests for so many times as long as the database took for it, up to a second.
RESTS = 2.0
LONGEST_REST_SECONDS = 1.0


class ClaimsAside:
    """
    A task for each slow tenant with turns, and what it waits for.

    `claim` claims for turns together, and tells their lanes; it notes how long each tenant took.
    """

    def __init__(
        self,
        claim: Callable[[Sequence[LaneTurn]], Awaitable[None]],
        tenant_of: Callable[[WebhookId], TenantId | None],
    ) -> None:
        self._claim = claim
        self._tenant_of = tenant_of
        self._slow = SlowTenants(slow_from=SLOW_SECONDS)
        self._seconds: defaultdict[TenantId, float] = defaultdict(float)
        self._waiting: dict[TenantId, list[LaneTurn]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(TENANTS_AT_ONCE)
        self._ends = asyncio.Event()

    def note(self, took_seconds: Mapping[WebhookId, float], *, now: float) -> None:
        """Note how long the database took for each of the webhooks of one claim."""
        by_tenant: defaultdict[TenantId, float] = defaultdict(float)
        for webhook_id, took in took_seconds.items():
            if (tenant_id := self._tenant_of(webhook_id)) is not None:
                by_tenant[tenant_id] += took
        for tenant_id, took in by_tenant.items():
            self._slow.note(tenant_id, took, now=now)
            if tenant_id in self._seconds:
                self._seconds[tenant_id] += took

    def take(self, turns: Sequence[LaneTurn], *, now: float) -> list[LaneTurn]:
        """Begin the claims of slow tenants, and return the turns of all others."""
        others: list[LaneTurn] = []
        for turn in turns:
            tenant_id = self._tenant_of(turn.webhook_id)
            if tenant_id is None or not self._slow.is_slow(tenant_id, now=now):
                others.append(turn)
            elif tenant_id in self._waiting:
                self._waiting[tenant_id].append(turn)
            else:
                self._waiting[tenant_id] = [turn]
                task = asyncio.create_task(self._claim_for(tenant_id))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return others

    async def end(self, *, within: float) -> None:
        """Let claims under way end `within` so many seconds; what waits is left."""
        self._waiting.clear()
        self._ends.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within)
            for task in late:
                task.cancel()

    async def _claim_for(self, tenant_id: TenantId) -> None:
        """Claim for one tenant until it has no turns any more."""
        try:
            while turns := self._waiting.get(tenant_id):
                self._waiting[tenant_id] = []
                async with self._places:
                    rest_seconds = await self._claim_apart(tenant_id, turns)
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest_seconds):
                        await self._ends.wait()
        finally:
            self._waiting.pop(tenant_id, None)
            self._seconds.pop(tenant_id, None)

    async def _claim_apart(self, tenant_id: TenantId, turns: Sequence[LaneTurn]) -> float:
        """Claim for these turns; returns how many seconds the tenant is to rest."""
        self._seconds[tenant_id] = 0.0
        try:
            await self._claim(turns)
        except DatabaseUnavailableError as error:
            log.warning("dispatcher.claim_failed", tenant_id=str(tenant_id), reason=str(error))
            return LONGEST_REST_SECONDS
        except Exception:  # what was due still is
            log.exception("dispatcher.claim_failed", tenant_id=str(tenant_id))
            return LONGEST_REST_SECONDS
        took = self._seconds[tenant_id]
        return 0.0 if took < SLOW_SECONDS else min(RESTS * took, LONGEST_REST_SECONDS)
