"""Attacks by API requests."""

from tests.faults.attacks.api_clients import api_clients
from tests.faults.attacks.scene import Scene
from tests.support.api_client import OPERATOR

LIST_WEBHOOKS = (
    "GET /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {{tenant}}\r\n\r\n"
)


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


async def _attack(scene: Scene, request: str, *, clients: int) -> dict[str, int]:
    """Let clients send a request again and again; returns the number of responses by status."""
    async with scene.attack():
        with api_clients(scene.daemon.port, request, clients=clients) as crowd:
            await scene.end_of_attack()
            return crowd.stop()
