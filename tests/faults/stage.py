"""
Where a fault is played: customers with endpoints, an application that publishes, a full count.

What is expected is read from the tables themselves: whatever the application committed, for every
webhook of its tenant, whatever became of the connection it committed on.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from uuid import UUID

import asyncpg

from daemon.cli.support.process import raise_open_file_limit
from tests.faults.report import Report
from tests.support import daemons
from tests.support.application import Application
from tests.support.receiver import Received, Receiver, Reply, receiving

PATIENCE_SECONDS = 120.0
# What a connection may say when the server goes away under it.
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
Pair = tuple[str, str]  # the path, which stands for the webhook, and the event's id on the wire


@dataclass(frozen=True, slots=True)
class Tally:
    """The rows of webhook_deliveries, counted."""

    success: int
    pending: int
    failed: int
    leased: int
    repeated: int  # attempts after the first


class Stage:
    """One database, one receiver for all endpoints, and who publishes to them."""

    def __init__(self, database: str, receiver: Receiver) -> None:
        self.database = database
        self.receiver = receiver
        self.tenants: list[UUID] = []
        self._webhooks = 0
        self._turns: Iterator[UUID] = iter(())

    async def open(self, *, tenants: int, webhooks: int) -> None:
        """So many tenants with so many webhooks each; every webhook has a path of its own."""
        async with self.application() as app:
            for number in range(tenants):
                tenant = await app.tenant()
                self.tenants.append(tenant)
                for each in range(webhooks):
                    await app.webhook(tenant, f"{self.receiver.url}/{number}-{each}")
        self._webhooks = webhooks
        self._turns = cycle(self.tenants)

    @asynccontextmanager
    async def application(self) -> AsyncIterator[Application]:
        """The application on a connection of its own."""
        connection = await asyncpg.connect(self.database, timeout=5, command_timeout=60)
        try:
            yield Application(connection)
        finally:
            connection.terminate()

    async def publish(self, count: int, *, at_once: int = 20) -> None:
        """So many events, tenant after tenant, in transactions of `at_once`."""
        async with self.application() as app:
            for start in range(0, count, at_once):
                await app.events(next(self._turns), min(at_once, count - start))

    @asynccontextmanager
    async def publishing(self, *, at_once: int = 5, ahead: int = 500) -> AsyncIterator[None]:
        """
        Publish during the block, through every loss of the database.

        At most `ahead` pairs are published that were not received yet: a load, not a flood.
        """
        task = asyncio.create_task(self._publish_on(at_once, ahead))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _publish_on(self, at_once: int, ahead: int) -> None:
        while True:
            received, published = len(self.receiver.received), 0
            try:
                async with self.application() as app:
                    while True:
                        await app.events(next(self._turns), at_once)
                        published += at_once * self._webhooks
                        while published - (len(self.receiver.received) - received) > ahead:
                            await asyncio.sleep(0.02)
            except LOST:
                await asyncio.sleep(0.05)

    async def expected(self) -> set[Pair]:
        """Every pair of a committed event and a webhook of its tenant."""
        async with self.application() as app:
            rows = await app.db.fetch(
                "SELECT w.endpoint_url, e.id FROM webhook_events AS e"
                " JOIN webhooks AS w ON w.tenant_id = e.tenant_id"
            )
        prefix = len(self.receiver.url)
        return {(row["endpoint_url"][prefix:], f"evt_{row['id'].hex}") for row in rows}

    async def stored(self) -> set[Pair]:
        """Every pair that has a `success` row."""
        async with self.application() as app:
            rows = await app.db.fetch(
                "SELECT w.endpoint_url, d.event_id FROM webhook_deliveries AS d"
                " JOIN webhooks AS w ON w.id = d.webhook_id WHERE d.status = 'success'"
            )
        prefix = len(self.receiver.url)
        return {(row["endpoint_url"][prefix:], f"evt_{row['event_id'].hex}") for row in rows}

    async def tally(self) -> Tally:
        async with self.application() as app:
            row = await app.db.fetchrow(
                "SELECT count(*) FILTER (WHERE status = 'success') AS success,"
                " count(*) FILTER (WHERE status = 'pending_retry') AS pending,"
                " count(*) FILTER (WHERE status = 'failed') AS failed,"
                " count(leased_until) AS leased,"
                " count(*) FILTER (WHERE attempt_number > 1) AS repeated"
                " FROM webhook_deliveries"
            )
        return Tally(**dict(row))

    def times(self) -> Counter[Pair]:
        """How often each pair was received."""
        return Counter(request.pair for request in self.receiver.received)

    async def delivered(self, *, within: float = PATIENCE_SECONDS) -> None:
        """Wait until every expected pair is stored as a success; report what is amiss else."""

        async def all_stored() -> bool:
            async with self.application() as app:
                missing = await app.db.fetchval(
                    "SELECT (SELECT count(*) FROM webhook_events AS e"
                    "          JOIN webhooks AS w ON w.tenant_id = e.tenant_id)"
                    "     - (SELECT count(*) FROM webhook_deliveries WHERE status = 'success')"
                )
            return bool(missing <= 0)

        with suppress(TimeoutError):  # the count that follows tells what is missing
            await daemons.until(all_stored, within=within, every=0.2)

    async def unhealthy(self) -> int:
        """How many endpoints were charged with a failure."""
        async with self.application() as app:
            found = await app.db.fetchval(
                "SELECT count(*) FROM webhooks WHERE consecutive_failures <> 0 OR is_failing"
                " OR NOT is_active OR last_failure_at IS NOT NULL"
            )
        return int(found)

    async def lapse_leases(self) -> None:
        """Time passes: every lease that is held now has lapsed."""
        async with self.application() as app:
            await app.db.execute(
                "UPDATE webhook_deliveries SET leased_until = now() - interval '1 ms'"
                " WHERE leased_until IS NOT NULL"
            )

    async def forget_daemon(self) -> None:
        """Wait until no server process works for a daemon any more."""

        async def gone() -> bool:
            async with self.application() as app:
                left = await app.db.fetchval(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name LIKE 'webhookd%'"
                )
            return bool(left == 0)

        await daemons.until(gone)

    async def count(self, report: Report, *, duplicates: int | None = 0) -> None:
        """
        The full count, at the receiver and in the tables.

        `duplicates` is how many more requests than pairs there may be; None for any number.
        """
        expected, times, tally = await self.expected(), self.times(), await self.tally()
        missing = expected - times.keys()
        more = times.total() - len(times)
        report.note("every pair received", not missing, f"{len(expected)}, {len(missing)} missing")
        report.note("nothing received that was not published", not times.keys() - expected)
        if duplicates is not None:
            allowed = f" of at most {duplicates}" if duplicates else ""
            report.note("duplicates", more <= duplicates, f"{more}{allowed}")
        report.note("every pair stored once", tally.success == len(expected), tally)
        report.note("stored pairs are the expected ones", await self.stored() == expected)
        report.note("nothing pending, no lease left", tally.pending == tally.leased == 0, tally)
        report.note("no attempt spent", tally.failed == tally.repeated == 0, tally)
        report.note("no endpoint charged", await self.unhealthy() == 0)


@asynccontextmanager
async def stage(
    database: str, *, tenants: int, webhooks: int, answer_after: float = 0.0
) -> AsyncIterator[Stage]:
    """A stage set up; the receiver answers 200 after so many seconds."""
    raise_open_file_limit()
    async with receiving() as receiver:
        receiver.answer = lambda _: Reply(after=answer_after)
        it = Stage(database, receiver)
        await it.open(tenants=tenants, webhooks=webhooks)
        yield it


def answer_as(rule: Callable[[Received], float]) -> Callable[[Received], Reply]:
    """Answer 200 after as many seconds as `rule` says."""
    return lambda request: Reply(after=rule(request))


def faults_logged(logs: list[Path]) -> list[str]:
    """Lines of daemons' logs that tell of a fault of ours."""
    marks = ("loop.failed", "Traceback", "delivery.failed", "result.unstorable", "never retrieved")
    return [
        line
        for log in logs
        for line in log.read_text(errors="replace").splitlines()
        if any(mark in line for mark in marks)
    ]
