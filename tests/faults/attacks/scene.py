"""The scene of an attack: the attacker's rows and endpoints, healthy tenants, and one daemon."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psutil

from tests.faults.attacks.endpoints import Endpoints
from tests.faults.attacks.healthy import Delays, HealthyTenants
from tests.support.application import SECRET, Application
from tests.support.daemons import Daemon

ADD_WEBHOOKS = """
    INSERT INTO webhooks (
        id, tenant_id, name, endpoint_url, secret_key, event_filters, timeout_ms
    )
    SELECT gen_random_uuid(), $1, 'attacker', url, $2, filter, $5
      FROM unnest($3::text[], $4::jsonb[]) AS webhook (url, filter)
"""
# The data is parsed once, however many events get it.
PUBLISH = """
    WITH data AS MATERIALIZED (SELECT $2::text::jsonb AS data)
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data)
    SELECT gen_random_uuid(), $1, 'email.opened', data FROM data, generate_series(1, $3)
"""
DELIVERED = """
    SELECT count(*) FROM webhook_deliveries AS d JOIN webhooks AS w ON w.id = d.webhook_id
     WHERE w.tenant_id = ANY ($1::uuid[]) AND d.status = 'success'
"""
# Attempts on their way have no row yet. Names distinguish the attackers' webhooks from the others'.
PROGRESS = """
    SELECT (SELECT count(*) FROM webhook_event_inbox) AS "events in the inbox",
           count(*) FILTER (WHERE d.status = 'success') AS delivered,
           count(*) FILTER (WHERE d.status = 'failed' AND NOT d.too_large) AS failed,
           count(*) FILTER (WHERE d.too_large) AS "too large",
           count(*) FILTER (WHERE d.status = 'pending_retry') AS pending
      FROM webhook_deliveries AS d JOIN webhooks AS w ON w.id = d.webhook_id
     WHERE w.name = 'attacker'
"""


class Scene:
    """What an attack acts on; `alone` and `attacked` are the healthy tenants' delays."""

    def __init__(
        self,
        app: Application,
        healthy: HealthyTenants,
        endpoints: Endpoints,
        daemon: Daemon,
        *,
        alone_seconds: float,
        attack_seconds: float,
    ) -> None:
        self.app = app
        self.endpoints = endpoints
        self.daemon = daemon
        self.attack_seconds = attack_seconds
        self.alone: Delays = []
        self.attacked: Delays = []
        self.notes: list[str] = []
        self.broken: list[str] = []
        self._healthy = healthy
        self._alone_seconds = alone_seconds

    async def tenant(
        self,
        urls: Sequence[str],
        *,
        filters: Sequence[str | None] | None = None,
        timeout_ms: int | None = None,
    ) -> UUID:
        """Add a tenant with a webhook for each URL, and for each the filter as JSON text."""
        tenant = await self.app.tenant()
        filters = filters if filters is not None else [None] * len(urls)
        await self.app.db.execute(ADD_WEBHOOKS, tenant, SECRET, urls, filters, timeout_ms)
        return tenant

    async def publish(self, tenant: UUID, data: str = "{}", *, count: int = 1) -> None:
        """Commit `count` events with the same data, JSON text, in one transaction."""
        await self.app.db.execute(PUBLISH, tenant, data, count)

    async def publish_steadily(self, tenant: UUID, data: Iterable[str], *, every: float) -> None:
        """Commit an event for each data, with so many seconds between."""
        due = time.monotonic()
        for each in data:
            await self.publish(tenant, each)
            due += every
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def measure_alone(self) -> None:
        """Time the healthy tenants' events before the attack."""
        end = time.monotonic() + self._alone_seconds
        self.alone = await self._healthy.delays_ms(until_true=lambda: time.monotonic() >= end)

    @asynccontextmanager
    async def attack(self) -> AsyncIterator[None]:
        """
        Time the healthy tenants' events from the beginning of the block on.

        It takes `attack_seconds`, and half of them after the block's last statement at least.
        """
        began, cpu_before = time.monotonic(), self.daemon_cpu_seconds()
        end = began + self.attack_seconds
        block_ended = False
        task = asyncio.create_task(
            self._healthy.delays_ms(until_true=lambda: block_ended and time.monotonic() >= end)
        )
        try:
            yield
            end = max(end, time.monotonic() + self.attack_seconds / 2)
            block_ended = True
            self.attacked = await task
            cpu = self.daemon_cpu_seconds() - cpu_before
            seconds = time.monotonic() - began
            self.notes.append(f"the daemon took {cpu:.1f} s of CPU in {seconds:.1f} s")
        finally:
            task.cancel()

    async def end_of_attack(self) -> None:
        """Wait as long as the attack is to take, for attacks that go on until they are ended."""
        await asyncio.sleep(self.attack_seconds)

    async def delivered(self, tenants: Sequence[UUID], count: int) -> bool:
        """Whether these tenants have `count` successful deliveries."""
        return bool(await self.app.db.fetchval(DELIVERED, tenants) >= count)

    async def progress(self) -> str:
        """Describe how far the attacker's events have come."""
        counts = await self.app.db.fetchrow(PROGRESS)
        return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)

    def daemon_cpu_seconds(self) -> float:
        """Return the CPU time that the daemon has used so far; 0 when it has died."""
        try:
            times = psutil.Process(self.daemon.process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)

    def daemon_peak_mb(self) -> float:
        """Return the daemon's peak resident memory in megabytes; 0 when it has died."""
        status = Path(f"/proc/{self.daemon.process.pid}/status")
        try:
            lines = dict(each.split(":", 1) for each in status.read_text().splitlines())
        except FileNotFoundError:
            return 0.0
        return int(lines.get("VmHWM", "0 kB").split()[0]) * 1024 / 1e6
