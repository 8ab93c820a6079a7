"""Attacks by API requests."""

from tests.faults.attacks.api_clients import api_clients
from tests.faults.attacks.scene import Scene
from tests.support.api_client import OPERATOR

LIST_WEBHOOKS = (
    "GET /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {{tenant}}\r\n\r\n"
)


async def requests(scene: Scene, *, clients: int = 50) -> None:
    """Clients of one tenant list its twenty webhooks, each as often as it can."""
    tenant = await scene.tenant([f"http://127.0.0.1:9/{number}" for number in range(20)])
    await scene.measure_alone()
    head = LIST_WEBHOOKS.format(tenant=tenant)
    async with scene.attack():
        with api_clients(scene.daemon.port, head, clients=clients) as crowd:
            await scene.end_of_attack()
            statuses = crowd.stop()
    served = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
    scene.notes.append(f"responses of the API: {served}")
    if not statuses.get("200"):
        scene.broken.append("the API served nothing")
