"""
Outages of our own network: `python -m tests.namespace.outage FOLDER` inside new namespaces.

The commands of `STEPS` change the network, and after each of them requests are sent; their outcomes
are printed. If FOLDER has a `config.toml`, a daemon goes through an outage of loopback instead.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import uvloop

from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Failure
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.egress.client import WebhookClient
from tests.support.application import Application
from tests.support.client import FakeResolver, request_to, webhook_client
from tests.support.daemons import until
from tests.support.receiver import receiving

EVERYWHERE = EgressPolicy(
    allow_http=True,
    allow_networks=(ip_network("0.0.0.0/0"), ip_network("::/0")),
    allow_ports=((1, 65535),),
    allow_hosts=frozenset({"*.test"}),  # names of FakeResolver
)
NEIGHBOUR = "203.0.113.77"  # on our link, and absent
FAR = "198.51.100.1"  # behind the gateway
UNROUTED = "198.51.100.7"
GATEWAY = "203.0.113.254"
SIX = "2606:2800:220:1::1"
PUBLIC = "93.184.216.34"
NAME = "far.test"

# An absent neighbour is given up after three questions, 100 ms apart instead of a second.
SET_UP = f"""
    ip link set lo up
    ip link add veth0 type veth peer name veth1
    ip address add 203.0.113.1/24 dev veth0
    ip link set veth0 up
    ip link set veth1 up
    ip ntable change name arp_cache dev veth0 retrans 100
    ip route add default via {GATEWAY}
    ip neighbour replace {GATEWAY} lladdr 02:00:00:00:00:01 dev veth0 nud permanent
"""
# Each with a name, the commands that lead to it, and the hosts to which requests are sent then.
STEPS: Sequence[tuple[str, str, Sequence[str]]] = (
    ("all works", "true", (NEIGHBOUR, f"[{SIX}]", NAME)),
    ("one host has no route", f"ip route add unreachable {UNROUTED}", (UNROUTED,)),
    ("no default route", "ip route delete default", (FAR, f"[{SIX}]", NAME)),
    ("the route is back", f"ip route add default via {GATEWAY}", (NEIGHBOUR, UNROUTED)),
    ("the gateway is dead", f"ip neighbour replace {GATEWAY} dev veth0 nud failed", (FAR,)),
    ("no carrier", "ip link set veth1 down", (FAR, NEIGHBOUR)),
    ("the interface is down", "ip link set veth0 down", (FAR,)),
)


async def go_through_steps() -> dict[str, dict[str, str]]:
    """Return what came of each request, by step and host."""
    _shell(SET_UP)
    found: dict[str, dict[str, str]] = {}
    resolver = FakeResolver(far=[FAR, SIX])
    async with webhook_client(EVERYWHERE, seconds=1.5, resolver=resolver) as client:
        for step, commands, hosts in STEPS:
            _shell(commands)
            results = await asyncio.gather(*(result_at(client, host) for host in hosts))
            found[step] = dict(zip(hosts, results, strict=True))
    return found


async def result_at(client: WebhookClient, host: str) -> str:
    """Return the failure's message, or why the attempt is postponed."""
    try:
        outcome = await client.send(request_to(f"http://{host}:9/"))
    except PostponedError as error:
        return f"postponed: {error}"
    assert isinstance(outcome.result, Failure)
    return outcome.result.message


async def go_through_outage(folder: Path) -> dict[str, Any]:
    """Deliver, set loopback down, publish, set it up; return the rows and the failures counted."""
    _shell(f"ip link set lo up; ip address add {PUBLIC} dev lo")
    db = await asyncpg.connect(os.environ["WEBHOOKD_DATABASE__URL"])
    app, log = Application(db), folder / "daemon.log"
    tenant = await app.tenant()
    async with receiving(address=PUBLIC) as receiver, running(folder, log):
        await app.webhook(tenant, f"{receiver.url}/hook")
        await app.event(tenant)
        await until(lambda: rows_are(db, ["success"]))
        _shell("ip link set lo down")
        await app.events(tenant, 3)
        await until(lambda: "delivery.postponed" in log.read_text())
        # First attempts have rows from then on.
        await until(lambda: rows_are(db, ["pending_retry"] * 3 + ["success"]))
        during = await statuses(db)
        _shell("ip link set lo up")
        await until(lambda: rows_are(db, ["success"] * 4))
        failures = await db.fetchval("SELECT sum(consecutive_failures) FROM webhooks")
    await db.close()
    return {"during": during, "failures": failures, "log": log.read_text()}


@asynccontextmanager
async def running(folder: Path, log: Path) -> AsyncIterator[None]:
    """Run the daemon during the block."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "daemon", "run", "--no-embedded"),
            *("--config", str(folder / "config.toml")),
            stdout=output,
            stderr=output,
        )
    yield
    process.terminate()
    assert await process.wait() == 0


async def statuses(db: Any) -> list[str]:
    """Return the status of every row, sorted."""
    rows = await db.fetch("SELECT status FROM webhook_deliveries ORDER BY status")
    return [row["status"] for row in rows]


async def rows_are(db: Any, expected: list[str]) -> bool:
    """Whether these are all rows."""
    return await statuses(db) == expected


def _shell(commands: str) -> None:
    subprocess.run(["sh", "-ec", commands], check=True)


if __name__ == "__main__":
    if os.getpid() != 1:  # else these would be the machine's own links and routes
        sys.exit("run this only in new namespaces: see tests/namespace/runner.py")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        place = Path(sys.argv[1])
        with_daemon = (place / "config.toml").exists()
        result = runner.run(go_through_outage(place) if with_daemon else go_through_steps())
    (place / "result.json").write_bytes(orjson.dumps(result))
