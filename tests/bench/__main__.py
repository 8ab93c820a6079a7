"""`python3 dev.py bench`: throughput, CPU per delivery, and commit-to-receipt latency."""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psutil
import uvloop

from daemon import embedded
from daemon.store.migrations import migrate
from tests.bench.receiver import Tally, listen
from tests.bench.sample import EVENT_DATA, SECRET
from tests.support.daemons import daemon, free_port
from tests.support.postgres import roomy_folder

ENDPOINTS = 200


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=20_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency-events", type=int, default=300)
    uvloop.run(_bench(parser.parse_args()))


async def _bench(options: argparse.Namespace) -> None:
    tally = Tally()
    server, url = await listen(tally)
    with roomy_folder() as folder:
        postgres = await embedded.start(folder / "postgres")
        try:
            await migrate(postgres.url)
            log = folder / "daemon.log"
            async with daemon(
                postgres.url, folder, port=free_port(), log=log, level="info"
            ) as running:
                db = await asyncpg.connect(postgres.url)
                house = House(db, psutil.Process(running.process.pid), postgres.pid, tally)
                await house.furnish(url)
                await _rounds(house, url, options)
                await _latency(house, options.latency_events)
                await db.close()
        finally:
            await postgres.stop()
    server.close()


class House:
    """A running daemon, its database, and the receiver, from outside."""

    def __init__(self, db: Any, daemon: psutil.Process, postgres: int, tally: Tally) -> None:
        self.db = db
        self.daemon = daemon
        self.postgres = psutil.Process(postgres)
        self.tally = tally
        self.tenant = uuid4()

    async def furnish(self, url: str) -> None:
        """One tenant; each endpoint wants one type of its own, so an event is one delivery."""
        await self.db.execute("INSERT INTO tenants (id) VALUES ($1)", self.tenant)
        await self.db.executemany(
            "INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key, event_types)"
            " VALUES (gen_random_uuid(), $1, 'bench', $2, $3, $4)",
            [(self.tenant, f"{url}/{n}", SECRET, [f"type.{n}"]) for n in range(ENDPOINTS)],
        )

    async def deliver(self, count: int) -> dict[str, float]:
        """Commit `count` events at once; from then until all are received and recorded."""
        before = self.tally.count
        cpu, database_cpu = _cpu(self.daemon), _cpu_of_all(self.postgres)
        await self.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type, event_data)"
            " SELECT gen_random_uuid(), $1, 'type.' || (n % $2::int), $3::text::jsonb"
            " FROM generate_series(1, $4::int) AS n",
            self.tenant, ENDPOINTS, EVENT_DATA, count,
        )  # fmt: skip
        began = time.perf_counter()
        await self.tally.reach(before + count)
        await self._all_recorded()
        return {
            "seconds": time.perf_counter() - began,
            "cpu": _cpu(self.daemon) - cpu,
            "database": _cpu_of_all(self.postgres) - database_cpu,
        }

    async def _all_recorded(self) -> None:
        while await self.db.fetchval(
            "SELECT EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending_retry')"
        ):
            await asyncio.sleep(0.01)

    async def one_event(self) -> tuple[UUID, float]:
        """Commit one event; its id and the moment when the commit had come back."""
        event = uuid4()
        await self.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type, event_data)"
            " VALUES ($1, $2, 'type.1', $3)",
            event, self.tenant, EVENT_DATA,
        )  # fmt: skip
        return event, time.monotonic()


async def _rounds(house: House, url: str, options: argparse.Namespace) -> None:
    count = options.deliveries
    await house.deliver(min(2000, count))  # warm up: plans, connections, caches
    found: dict[str, list[dict[str, float]]] = {"aiohttp": [], "sender": [], "daemon": []}
    for number in range(options.rounds):
        for kind in ("aiohttp", "sender"):
            found[kind].append(await _bare(kind, url, count))
        found["daemon"].append(await house.deliver(count))
        print(f"round {number + 1} of {options.rounds}: " + _round_line(found, count), flush=True)
    _print_throughput(found, count)


async def _bare(kind: str, url: str, count: int) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bare", kind, url, str(count)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await process.communicate()
    return dict(json.loads(output))


async def _latency(house: House, count: int) -> None:
    waits = []
    for _ in range(count):
        event, committed = await house.one_event()
        key = f"evt_{event.hex}".encode()
        while key not in house.tally.receipts:
            await asyncio.sleep(0.0005)
        waits.append((house.tally.receipts[key] - committed) * 1000)
        await asyncio.sleep(0.005)
    waits.sort()
    print(f"\ncommit to receipt, {count} events one by one, idle daemon:")
    print(
        f"  median {statistics.median(waits):.1f} ms   p95 {waits[int(count * 0.95)]:.1f} ms"
        f"   p99 {waits[int(count * 0.99)]:.1f} ms   most {waits[-1]:.1f} ms"
    )


def _round_line(found: dict[str, list[dict[str, float]]], count: int) -> str:
    return "   ".join(
        f"{kind} {count / runs[-1]['seconds']:,.0f}/s" for kind, runs in found.items()
    )


def _print_throughput(found: dict[str, list[dict[str, float]]], count: int) -> None:
    names = {
        "aiohttp": "bare aiohttp loop, nothing else",
        "sender": "bare loop over our sender",
        "daemon": "the daemon: event rows to recorded deliveries",
    }
    title = f"median of {len(found['daemon'])} rounds"
    print(f"\n{title:<48}   per second   CPU per delivery")
    for kind, runs in found.items():
        rate = statistics.median(count / run["seconds"] for run in runs)
        cpu = statistics.median(run["cpu"] / count * 1e6 for run in runs)
        print(f"{names[kind]:<48} {rate:>12,.0f} {cpu:>15,.0f} µs")
    database = statistics.median(run["database"] / count * 1e6 for run in found["daemon"])
    print(f"{'PostgreSQL meanwhile':<48} {'':>12} {database:>15,.0f} µs")
    print(f"daemon / bare aiohttp, round by round: {_ratios(found)}")


def _ratios(found: dict[str, list[dict[str, float]]]) -> str:
    ratios: Sequence[float] = [
        bare["seconds"] / whole["seconds"]
        for bare, whole in zip(found["aiohttp"], found["daemon"], strict=True)
    ]
    return f"median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _cpu_of_all(process: psutil.Process) -> float:
    """Of a server and its backends, those that have ended included."""
    times = process.cpu_times()
    ended = float(times.children_user + times.children_system)
    return ended + _cpu(process) + sum(_cpu(child) for child in process.children())


if __name__ == "__main__":
    main()
