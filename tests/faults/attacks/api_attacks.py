"""Attacks by API requests."""

import asyncio
import socket
from contextlib import ExitStack

from tests.faults.attacks.api_clients import api_clients
from tests.faults.attacks.scene import Scene
from tests.support.api_client import OPERATOR

LIST_WEBHOOKS = (
    "GET /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {{tenant}}\r\n\r\n"
)

DESCRIBE = "UPDATE webhooks SET description = $2 WHERE tenant_id = $1"
TINY_CHUNKS = (
    "POST /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {{tenant}}\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
) + "1\r\n \r\n" * 400_000


async def requests(scene: Scene, *, clients: int = 50) -> None:
    """Clients of one tenant list its twenty webhooks, each as often as it can."""
    tenant = await scene.tenant([f"http://127.0.0.1:9/{number}" for number in range(20)])
    await scene.measure_alone()
    statuses = await _attack(scene, LIST_WEBHOOKS.format(tenant=tenant), clients=clients)
    served = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
    scene.notes.append(f"responses of the API: {served}")
    if not statuses.get("200"):
        scene.broken.append("the API served nothing")


async def tiny_chunks(scene: Scene, *, clients: int = 40) -> None:
    """Clients send bodies of 400,000 chunks of one byte."""
    tenant = await scene.tenant([])
    await scene.measure_alone()
    await _attack(scene, TINY_CHUNKS.format(tenant=tenant), clients=clients)


async def unread_responses(scene: Scene, *, clients: int = 400) -> None:
    """Clients of one tenant ask for its 200 webhooks with long descriptions, and read nothing."""
    tenant = await scene.tenant([f"http://127.0.0.1:9/{number}" for number in range(200)])
    await scene.app.db.execute(DESCRIBE, tenant, "\U0001d4d0" * 10_000)
    await scene.measure_alone()
    request = LIST_WEBHOOKS.replace("/webhooks", "/webhooks?limit=200").format(tenant=tenant)
    loop = asyncio.get_running_loop()
    async with scene.attack():
        with ExitStack() as stack:
            for _ in range(clients):
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", scene.daemon.port))
                await loop.sock_sendall(client, request.encode())
                await asyncio.sleep(scene.attack_seconds / clients)
            await scene.end_of_attack()


async def _attack(scene: Scene, request: str, *, clients: int) -> dict[str, int]:
    """Let clients send a request again and again; returns the number of responses by status."""
    async with scene.attack():
        with api_clients(scene.daemon.port, request, clients=clients) as crowd:
            await scene.end_of_attack()
            return crowd.stop()
