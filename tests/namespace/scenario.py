"""
The scenario that `tests.namespace.runner` runs inside: `python -m tests.namespace.scenario FOLDER`.

It gives loopback its addresses, acts as name server, receiver and application, and runs the daemon
under strace. FOLDER holds `config.toml`, and in the end `trace`, `daemon.log` and `result.json`.
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

from tests.namespace import network, trace
from tests.namespace.receiver import ReceiverEverywhere, receiving_everywhere
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.daemons import until
from tests.support.nameserver import NO_SUCH_NAME, Answer, NameServer, name_server
from tests.support.receiver import Reply

PROXY = f"http://{network.LAN}:3128"
PROXIES = {
    name: PROXY
    for lower in ("http_proxy", "https_proxy", "all_proxy")
    for name in (lower, lower.upper())
}

# A result and its next attempt are stored in one transaction, so that neither is seen alone.
ALL_FINISHED = """
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


def set_up(folder: Path) -> None:
    """Give this namespace the addresses, the hosts file and the resolver of `network`."""
    files = {
        "resolv.conf": f"nameserver {network.NAME_SERVER}\nsearch {network.SEARCH_DOMAIN}\n",
        "hosts": network.HOSTS_FILE,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        _run("mount", "--bind", str(folder / name), str(Path("/etc", name).resolve()))
    _run("ip", "link", "set", "lo", "up")
    public = (network.PUBLIC_V4, network.PUBLIC_V6, network.NAME_SERVER)
    for address in (*public, *network.FORBIDDEN):
        if not ip_address(address).is_loopback:  # loopback has those already
            _run("ip", "address", "add", address, "dev", "lo", "nodad")


async def run(folder: Path) -> dict[str, Any]:
    """Deliver an event to every endpoint; return attempts, connections and requests."""
    authority = Authority()
    (folder / "authority.pem").write_text(authority.pem)
    tls = authority.server(f"*.{network.DOMAIN}")
    db = await asyncpg.connect(os.environ["WEBHOOKD_DATABASE__URL"])
    async with receiving_everywhere(respond, tls) as receiver:
        await publish(Application(db))
        async with name_server(address=network.NAME_SERVER, port=53) as names:
            names.answer = lambda name: addresses(name, names, receiver)
            async with daemon(folder) as process:

                async def is_finished() -> bool:
                    assert process.returncode is None, "the daemon ended before its work did"
                    return bool(await db.fetchval(ALL_FINISHED))

                await until(is_finished, every=0.05)
        attempts = [tuple(row) for row in await db.fetch(ATTEMPTS)]
        await db.close()
        return {
            "attempts": attempts,
            "connections": receiver.connections,
            "lookups": names.queries,
            "requests": receiver.requests,
        }


def respond(url: str) -> Reply:
    """Each endpoint's response; it ends the connection, so that the next attempt looks up again."""
    if url == network.REBINDING:
        return Reply(500)
    if url in network.REDIRECTS:
        status, location = network.REDIRECTS[url]
        return Reply(status, headers={"Location": location, "Connection": "close"})
    return Reply(headers={"Connection": "close"})


def addresses(name: str, server: NameServer, receiver: ReceiverEverywhere) -> Answer:
    """The name server's reply, which for two names depends on what happened before."""
    if name == urlsplit(network.REBINDING).hostname:
        rebound = receiver.has_received(network.REBINDING)
        return [network.METADATA if rebound else network.PUBLIC_V4]
    if name == urlsplit(network.FLAPPING).hostname:
        lookups = server.queries.count(name) // 2  # each queries both address families
        return [network.LAN if lookups % 2 else network.PUBLIC_V4]
    return network.NAMES.get(name, NO_SUCH_NAME)


async def publish(app: Application) -> None:
    """Insert a tenant for each endpoint, and one or several events."""
    for url in network.ENDPOINTS:
        tenant = await app.tenant()
        await app.webhook(tenant, url)
        for _ in range(network.FLAPPING_EVENTS if url == network.FLAPPING else 1):
            await app.event(tenant)


@asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[Process]:
    """
    Run the daemon under strace; when the block ends, stop it and wait for the end of the trace.

    After a failure it is left running: the namespace ends with this process, and it with that.
    """
    with (folder / "daemon.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            # -D: the daemon is our child, and strace a detached process.
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
    await until(lambda: trace.is_complete((folder / "trace").read_text(), process.pid))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    if os.getpid() != 1:  # else these mounts and addresses would be the machine's own
        sys.exit("run this only in new namespaces: see tests/namespace/runner.py")
    folder = Path(sys.argv[1])
    set_up(folder)
    result = asyncio.run(run(folder))
    (folder / "result.json").write_bytes(orjson.dumps(result))
