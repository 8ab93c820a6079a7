"""What the client keeps of peers is bounded by its size, not only by their number."""

import tracemalloc
from uuid import UUID

from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate
from tests.support.client import webhook_client

URL = "https://receiver.example/"
TENANT = TenantId(UUID(int=1))


async def test_client_certificates_are_not_kept_for_later_requests() -> None:
    async with webhook_client() as client:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(200):
                certificate = ClientCertificate(f"{number}" + "x" * 60_000, "y" * 8000)
                assert client.take(URL, certificate, TENANT) is None
            taken = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()

    assert taken < 1_000_000  # 13,600,000 if they were
