"""How the benchmarks publish: everything at once, tenant by tenant, or at a steady rate."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID, uuid4

import asyncpg

# In one transaction, the tenants in turn.
PUBLISH_MANY = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data)
    SELECT gen_random_uuid(), ($1::uuid[])[1 + n % cardinality($1::uuid[])], 'email.opened',
           $2::text::jsonb
      FROM generate_series(1, $3::int) AS n
"""
PUBLISH_ONE = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data)
    VALUES ($1, $2, 'email.opened', $3)
"""


async def publish(
    db: asyncpg.Connection, tenants: Sequence[UUID], events: int, *, data: str, bursts: bool = False
) -> float:
    """
    Publish in one transaction, the tenants in turn; with `bursts`, in one for each tenant.

    Returns the monotonic time of the first commit.
    """
    transactions = [[tenant] for tenant in tenants] if bursts else [tenants]
    first_commit = 0.0
    for number, each in enumerate(transactions):
        share = events // len(transactions) + (number < events % len(transactions))
        await db.execute(PUBLISH_MANY, each, data, share)
        first_commit = first_commit or time.monotonic()
    return first_commit


@dataclass(slots=True)
class SteadyLoad:
    """
    Publishes single events at times that are fixed beforehand, the tenants in turn.

    A late commit does not delay the ones after it, as long as a connection is free. `committed` has
    the time of each commit by message id, on the machine's monotonic clock.
    """

    connections: Sequence[asyncpg.Connection]
    tenants: Sequence[UUID]
    per_second: float
    data: str
    committed: dict[str, float] = field(default_factory=dict)

    async def run(self, events: int) -> None:
        """Publish this many events."""
        await self._run(events)

    async def run_forever(self) -> None:
        """Publish until cancelled."""
        await self._run(None)

    async def _run(self, events: int | None) -> None:
        numbers = iter(range(events)) if events is not None else count()
        began = time.monotonic()

        async def publish_rest(db: asyncpg.Connection) -> None:
            for number in numbers:
                await asyncio.sleep(began + number / self.per_second - time.monotonic())
                await self._publish_one(db, self.tenants[number % len(self.tenants)])

        await asyncio.gather(*(publish_rest(db) for db in self.connections))

    async def _publish_one(self, db: asyncpg.Connection, tenant: UUID) -> None:
        event = uuid4()
        await db.execute(PUBLISH_ONE, event, tenant, self.data)
        self.committed[f"evt_{event.hex}"] = time.monotonic()
