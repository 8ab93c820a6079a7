"""A running daemon with its database, measured from outside."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import psutil

from tests.bench.receiver import Receipts
from tests.bench.results import Run
from tests.bench.sample import EVENT_DATA, SECRET

ENDPOINTS = 200

ADD_WEBHOOK = """
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key, event_types)
    VALUES (gen_random_uuid(), $1, 'bench', $2, $3, $4)
"""
PUBLISH_MANY = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data)
    SELECT gen_random_uuid(), $1, 'type.' || (n % $2::int), $3::text::jsonb
      FROM generate_series(1, $4::int) AS n
"""
PUBLISH_ONE = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data)
    VALUES ($1, $2, 'type.1', $3)
"""
ANY_PENDING = "SELECT EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending_retry')"


class Installation:
    """The daemon's process, PostgreSQL's, and the receipts of the endpoints."""

    def __init__(self, db: Any, *, daemon: int, postgres: int, receipts: Receipts) -> None:
        self._db = db
        self._daemon = psutil.Process(daemon)
        self._postgres = psutil.Process(postgres)
        self._receipts = receipts
        self._tenant = uuid4()

    async def add_webhooks(self, url: str) -> None:
        """Add one tenant with one endpoint per event type, so that an event is one delivery."""
        await self._db.execute("INSERT INTO tenants (id) VALUES ($1)", self._tenant)
        await self._db.executemany(
            ADD_WEBHOOK,
            [(self._tenant, f"{url}/{n}", SECRET, [f"type.{n}"]) for n in range(ENDPOINTS)],
        )

    async def deliver(self, count: int) -> Run:
        """Commit `count` events at once; measure from then until all deliveries are recorded."""
        before = self._receipts.count
        cpu, database_cpu = _cpu(self._daemon), _cpu_with_children(self._postgres)
        await self._db.execute(PUBLISH_MANY, self._tenant, ENDPOINTS, EVENT_DATA, count)
        began = time.perf_counter()
        await self._receipts.wait_for(before + count)
        while await self._db.fetchval(ANY_PENDING):
            await asyncio.sleep(0.01)
        return {
            "seconds": time.perf_counter() - began,
            "cpu": _cpu(self._daemon) - cpu,
            "database": _cpu_with_children(self._postgres) - database_cpu,
        }

    async def latency_ms(self) -> float:
        """Commit one event; return the time until its receipt."""
        event = uuid4()
        key = f"evt_{event.hex}".encode()
        await self._db.execute(PUBLISH_ONE, event, self._tenant, EVENT_DATA)
        committed = time.monotonic()
        while key not in self._receipts.first_at:
            await asyncio.sleep(0.0005)
        return (self._receipts.first_at[key] - committed) * 1000


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _cpu_with_children(process: psutil.Process) -> float:
    """CPU seconds of a server and its backends, including those that have ended."""
    times = process.cpu_times()
    ended = float(times.children_user + times.children_system)
    return ended + _cpu(process) + sum(_cpu(child) for child in process.children())
