"""`python3 dev.py bench`: throughput, CPU time per delivery, and latency from commit to receipt."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import asyncpg
import uvloop

from daemon import embedded
from daemon.store.migrations import migrate
from tests.bench import results
from tests.bench.installation import Installation
from tests.bench.receiver import Receipts, listen
from tests.support.daemons import daemon, free_port
from tests.support.postgres import folder_for_postgres


def main() -> None:
    """Run all benchmarks, and print the results."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=20_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency-events", type=int, default=300)
    uvloop.run(_bench(parser.parse_args()))


async def _bench(options: argparse.Namespace) -> None:
    receipts = Receipts()
    server, url = await listen(receipts)
    with folder_for_postgres() as folder:
        postgres = await embedded.start(folder / "postgres")
        try:
            await migrate(postgres.url)
            log = folder / "daemon.log"
            async with daemon(
                postgres.url, folder, port=free_port(), log=log, level="info"
            ) as running:
                db = await asyncpg.connect(postgres.url)
                installation = Installation(
                    db, daemon=running.process.pid, postgres=postgres.pid, receipts=receipts
                )
                await installation.add_webhooks(url)
                await _measure_throughput(installation, url, options.deliveries, options.rounds)
                await _measure_latency(installation, options.latency_events)
                await db.close()
        finally:
            await postgres.stop()
    server.close()


async def _measure_throughput(
    installation: Installation, url: str, deliveries: int, rounds: int
) -> None:
    await installation.deliver(min(2000, deliveries))  # warm up: plans, connections, caches
    runs: results.Runs = {"aiohttp": [], "sender": [], "daemon": []}
    for number in range(1, rounds + 1):
        for kind in ("aiohttp", "sender"):
            runs[kind].append(await _run_bare(kind, url, deliveries))
        runs["daemon"].append(await installation.deliver(deliveries))
        print(f"round {number} of {rounds}: {results.last_round(runs, deliveries)}", flush=True)
    print(f"\n{results.throughput(runs, deliveries)}")


async def _run_bare(kind: str, url: str, deliveries: int) -> results.Run:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bare", kind, url, str(deliveries)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await process.communicate()
    return dict(json.loads(output))


async def _measure_latency(installation: Installation, events: int) -> None:
    waits_ms = []
    for _ in range(events):
        waits_ms.append(await installation.latency_ms())
        await asyncio.sleep(0.005)
    print(f"\n{results.latency(waits_ms)}")


if __name__ == "__main__":
    main()
