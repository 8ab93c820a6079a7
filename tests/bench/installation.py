"""Running daemons with their database, measured from outside."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from tests.bench import cpu
from tests.bench.receiver import Receiver
from tests.bench.sample import SECRET
from tests.bench.servers import COMMAND_SECONDS, Server
from tests.bench.variants import Variant
from tests.support.daemons import Daemon, daemon, free_port, until

ADD_TENANTS = "INSERT INTO tenants (id) SELECT unnest($1::uuid[])"
ADD_WEBHOOKS = """
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)
    SELECT gen_random_uuid(), tenant, 'bench', $2 || '/' || number || '-' || each, $3
      FROM unnest($1::uuid[]) WITH ORDINALITY AS t (tenant, number), generate_series(1, $4) AS each
"""
# Old daemons write pending rows before they delete the event's row in the inbox, and new ones have
# every result when they delete it: then everything is recorded.
ALL_RECORDED = """
    SELECT NOT EXISTS (SELECT FROM webhook_event_inbox)
       AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending_retry')
"""
WAL_POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
WAL_SYNCS = "SELECT wal_sync FROM pg_stat_wal"
WAL_SYNCS_18 = "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'"
TRANSACTIONS = """
    SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()
"""
DAEMON_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'webhookd%'
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """
    The state at one moment.

    `at` is monotonic; `wal_bytes` is a position in the write-ahead log. PostgreSQL's sessions
    report `wal_syncs` and `transactions` up to a second late: under a steady load, both ends of a
    window have the same error.
    """

    at: float
    cpu: cpu.Reading
    wal_bytes: int
    wal_syncs: int
    transactions: int


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two samples; CPU is in seconds."""

    seconds: float
    daemon_cpu: float
    postgres_cpu: float
    publisher_cpu: float
    receiver_cpu: float
    wal_bytes: int
    wal_syncs: int
    transactions: int


async def add_webhooks(
    db: asyncpg.Connection, url: str, *, tenants: int, webhooks: int = 1
) -> list[UUID]:
    """Add tenants with `webhooks` each below `url`, and return their ids."""
    ids = [uuid4() for _ in range(tenants)]
    await db.execute(ADD_TENANTS, ids)
    await db.execute(ADD_WEBHOOKS, ids, url, SECRET, webhooks)
    return ids


class Installation:
    """
    A database, its server, and the daemons that work on it.

    The driver's own sessions are known: their CPU time is the publisher's.
    """

    def __init__(self, server: Server, database: str, receiver: Receiver) -> None:
        self.server = server
        self.receiver = receiver
        self.daemons: list[Daemon] = []
        self._database = database
        self._own: set[int] = set()
        self._stack = AsyncExitStack()
        self._daemons_stack = AsyncExitStack()

    async def close(self) -> None:
        """Kill the daemons that still run, and close the connections."""
        await self._daemons_stack.aclose()
        await self._stack.aclose()

    async def connect(self) -> asyncpg.Connection:
        """Open a connection of the driver."""
        connection = await asyncpg.connect(self._database, command_timeout=COMMAND_SECONDS)
        self._stack.callback(connection.terminate)
        self._own.add(connection.get_server_pid())
        return connection

    async def start_daemons(
        self, variant: Variant, folder: Path, *, count: int = 1, settings: str = ""
    ) -> None:
        """Start daemons with these settings and the defaults, and wait until they are ready."""
        authority = folder / "authority.pem"
        authority.write_text(self.receiver.authority)
        for _ in range(count):
            running = daemon(
                self._database,
                folder,
                settings=settings,
                port=free_port(),
                log=folder / f"{variant.name}.log",
                level="info",
                variables={"SSL_CERT_FILE": str(authority)},
                python=variant.python,
                cwd=variant.root,
            )
            self.daemons.append(await self._daemons_stack.enter_async_context(running))

    async def stop_daemons(self) -> None:
        """Stop the daemons in order, and wait until their sessions have reported."""
        for each in self.daemons:
            await each.stop()
        self.daemons.clear()
        db = await self.connect()

        async def have_ended() -> bool:
            return bool(await db.fetchval(DAEMON_SESSIONS) == 0)

        await until(have_ended)

    async def sample(self, db: asyncpg.Connection) -> Sample:
        """Read all counters."""
        syncs = WAL_SYNCS_18 if self.server.version >= 18 else WAL_SYNCS
        wal_syncs, transactions = await db.fetchval(syncs), await db.fetchval(TRANSACTIONS)
        wal_bytes = await db.fetchval(WAL_POSITION)
        reading = cpu.read([*self._daemon_pids(), self.receiver.pid], self.server.pid)
        return Sample(time.monotonic(), reading, wal_bytes, wal_syncs, transactions)

    def window(self, before: Sample, after: Sample) -> Window:
        """Return the differences of two samples."""
        daemons = self._daemon_pids()
        known = {*daemons, *self._own, self.receiver.pid}

        def seconds_of(processes: Sequence[int]) -> float:
            return cpu.used_ns(before.cpu, after.cpu, processes) / 1e9

        return Window(
            seconds=after.at - before.at,
            daemon_cpu=seconds_of(daemons),
            postgres_cpu=cpu.used_by_others_ns(before.cpu, after.cpu, known) / 1e9,
            publisher_cpu=seconds_of([*self._own]),
            receiver_cpu=seconds_of([self.receiver.pid]),
            wal_bytes=after.wal_bytes - before.wal_bytes,
            wal_syncs=after.wal_syncs - before.wal_syncs,
            transactions=after.transactions - before.transactions,
        )

    async def wait_recorded(self, db: asyncpg.Connection, *, within: float) -> bool:
        """Wait until nothing is left to do; return whether that is so within this many seconds."""
        deadline = time.monotonic() + within
        while not await db.fetchval(ALL_RECORDED):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def peak_rss_mb(self) -> float:
        """Return the largest daemon's peak of resident memory."""
        return max(cpu.peak_rss_mb(pid) for pid in self._daemon_pids())

    def _daemon_pids(self) -> list[int]:
        return [each.process.pid for each in self.daemons]


@asynccontextmanager
async def installation(
    server: Server, database: str, receiver: Receiver
) -> AsyncIterator[Installation]:
    """Yield an installation without daemons; all that it started ends with the block."""
    installed = Installation(server, database, receiver)
    try:
        yield installed
    finally:
        await installed.close()
