"""
Fetches the data of claims that were too large to come with the claim, within the memory budget.

A claim whose data must wait for memory is given back: it holds no slot meanwhile. The rule:
whatever large data wait, they take two connections, and leave the others to everything else. The
tenant that recently used these least comes next.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from daemon.core.errors import MemoryBusyError, PostponedError
from daemon.core.model.attempts import Claim
from daemon.core.model.ids import TenantId
from daemon.pipeline.memory_budget import MemoryBudget
from daemon.runtime.turns import Turns
from daemon.store import claim_leases
from daemon.store.database import Database
from daemon.store.payload_size import measure_pending, pending_data

# Half a megabyte as stored may take seconds to measure: of as many tenants at once, with one
# connection for all. A claim holds a slot until then.
MEASURED_TENANTS = 8


class ClaimData:
    """Completes claims; `most_bytes` is what PostgreSQL may print for a body that can be sent."""

    def __init__(self, database: Database, *, most_bytes: int) -> None:
        self._database = database
        self._most_bytes = most_bytes
        self._memory = MemoryBudget()
        self._fetches, self._measurements = Turns(), Turns()
        self._measured_tenants: set[TenantId] = set()

    @asynccontextmanager
    async def fetched(self, claim: Claim) -> AsyncIterator[Claim]:
        """
        Lend a claim that came without data together with them; without, if they are too many.

        Raises MemoryBusyError when there is no memory for it now, or too much else is measured, and
        PostponedError when the data are not those that were measured any more.
        """
        claim = await self._measured(claim)
        size = claim.payload_bytes or 0
        if size > self._most_bytes:
            yield claim
            return
        if not self._memory.take(claim.tenant_id, size):
            raise MemoryBusyError("other large bodies are in flight")
        try:
            async with self._fetches.of(claim.tenant_id), self._database.connection() as db:
                data = await pending_data(db, claim, most_bytes=size)
                if data is None:
                    await claim_leases.note_size(db, claim, None)
            if data is None:
                raise PostponedError("the event's data were changed while they were read")
            yield replace(claim, data=data, fetched=True)
        finally:
            self._memory.free(claim.tenant_id, size)

    async def _measured(self, claim: Claim) -> Claim:
        if claim.payload_bytes is not None:
            return claim
        tenant_id, tenants = claim.tenant_id, self._measured_tenants
        if tenant_id in tenants or len(tenants) == MEASURED_TENANTS:
            raise MemoryBusyError("other large bodies are being measured")
        tenants.add(tenant_id)
        try:
            async with self._measurements.of(tenant_id), self._database.connection() as db:
                size = await measure_pending(db, claim, most_bytes=self._most_bytes)
                await claim_leases.note_size(db, claim, size)
        finally:
            tenants.discard(tenant_id)
        return replace(claim, payload_bytes=size)
