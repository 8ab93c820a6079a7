"""
The scenario, played inside by `tests.namespace.entrance`: `python -m tests.namespace.stage FOLDER`.

It gives loopback its addresses, plays name server, receiver and application, and runs the daemon
under strace. FOLDER holds `config.toml`, and in the end `trace`, `daemon.log` and `found.json`.
"""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson
from cryptography.hazmat.primitives.serialization import Encoding

from tests.namespace import trace, world
from tests.namespace.nameserver import AliasingNameServer
from tests.namespace.receiver import Everywhere, receiving_everywhere
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.daemons import until
from tests.support.nameserver import NO_SUCH_NAME, Answer
from tests.support.receiver import Reply

PROXY = f"http://{world.LAN}:3128"
PROXIES = {
    name: PROXY
    for lower in ("http_proxy", "https_proxy", "all_proxy")
    for name in (lower, lower.upper())
}

# A result and the attempt that follows it are stored together: there is no moment between them.
ALL_SETTLED = """
    SELECT count(DISTINCT event_id) = (SELECT count(*) FROM webhook_events)
           AND count(*) FILTER (WHERE status = 'pending_retry') = 0
      FROM webhook_deliveries
"""
ATTEMPTS = """
    SELECT w.endpoint_url, d.status, d.status_code, d.error_message
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id
     ORDER BY d.event_id, d.attempt_number
"""


def furnish(folder: Path) -> None:
    """Make this namespace the world that `world` describes."""
    files = {
        "resolv.conf": f"nameserver {world.NAME_SERVER}\nsearch {world.SEARCHED}\n",
        "hosts": world.HOSTS_FILE,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        _run("mount", "--bind", str(folder / name), str(Path("/etc", name).resolve()))
    _run("ip", "link", "set", "lo", "up")
    public = (world.PUBLIC_FOUR, world.PUBLIC_SIX, world.NAME_SERVER)
    for address in (*public, *world.FORBIDDEN):
        if not ip_address(address).is_loopback:  # those are there by themselves
            _run("ip", "address", "add", address, "dev", "lo", "nodad")


async def play(folder: Path) -> dict[str, Any]:
    """The whole scenario; what was found."""
    authority = Authority()
    pem = authority._certificate.public_bytes(Encoding.PEM)
    (folder / "authority.pem").write_bytes(pem)
    tls = authority.server(f"*.{world.DOMAIN}")
    db = await asyncpg.connect(os.environ["WEBHOOKD_DATABASE__URL"])
    async with receiving_everywhere(answer, tls) as receiver:
        await publish(Application(db))
        async with naming(receiver), daemon(folder) as process:

            async def is_done() -> bool:
                assert process.returncode is None, "the daemon ended before its work did"
                return bool(await db.fetchval(ALL_SETTLED))

            await until(is_done, every=0.05)
        rows = [tuple(row) for row in await db.fetch(ATTEMPTS)]
        await db.close()
        return {
            "attempts": rows,
            "visits": receiver.visits,
            "requests": receiver.requests,
        }


def answer(url: str) -> Reply:
    """As each endpoint is wont to; one answer ends the connection, so that the next looks up."""
    if url == world.REBINDING:
        return Reply(500)
    if url in world.REDIRECTS:
        status, location = world.REDIRECTS[url]
        return Reply(status, headers={"Location": location, "Connection": "close"})
    return Reply(headers={"Connection": "close"})


@asynccontextmanager
async def naming(receiver: Everywhere) -> AsyncIterator[None]:
    """The name server, for as long as the block lasts."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: AliasingNameServer(world.ALIASES), local_addr=(world.NAME_SERVER, 53)
    )

    def addresses(name: str) -> Answer:
        if name == urlsplit(world.REBINDING).hostname:
            return [world.METADATA if receiver.came(world.REBINDING) else world.PUBLIC_FOUR]
        if name == urlsplit(world.FLAPPING).hostname:
            lookups = server.asked.count(name) // 2  # each asks for both families
            return [world.LAN if lookups % 2 else world.PUBLIC_FOUR]
        return world.NAMES.get(name, NO_SUCH_NAME)

    server.answer = addresses
    try:
        yield
    finally:
        transport.close()


async def publish(app: Application) -> None:
    """Each endpoint is a tenant's own, and gets its event; one gets several."""
    for url in world.ENDPOINTS:
        tenant = await app.tenant()
        await app.webhook(tenant, url)
        for _ in range(world.FLAPPING_EVENTS if url == world.FLAPPING else 1):
            await app.event(tenant)


@asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[Process]:
    """
    The daemon under strace; stopped in good order, and the trace whole, when the block ends.

    After a failure it is left to the end of the namespace, which comes with ours.
    """
    with (folder / "daemon.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            # -D: the daemon is our child, and strace nobody's.
            *("strace", "-D", "-f", "-e", f"trace={','.join(trace.CALLS)}"),
            *("-o", str(folder / "trace")),
            *(sys.executable, "-m", "daemon", "run", "--no-embedded"),
            *("--config", str(folder / "config.toml")),
            env=os.environ | PROXIES | {"SSL_CERT_FILE": str(folder / "authority.pem")},
            stdout=log,
            stderr=log,
        )
    yield process
    process.terminate()
    assert await process.wait() == 0
    await until(lambda: trace.whole((folder / "trace").read_text(), process.pid))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    if os.getpid() != 1:  # else these mounts and addresses would be the machine's own
        sys.exit("this runs only in namespaces of its own: see tests/namespace/entrance.py")
    place = Path(sys.argv[1])
    furnish(place)
    found = asyncio.run(play(place))
    (place / "found.json").write_bytes(orjson.dumps(found))
