"""What `webhookd check` reads of the webhooks."""

import pytest

from daemon.store import webhook_inspection
from tests.support.application import Application


@pytest.mark.parametrize("page_size", [1, 2, 5, 6])
async def test_every_webhook_is_read_once_whatever_the_page_size(
    app: Application, monkeypatch: pytest.MonkeyPatch, page_size: int
) -> None:
    monkeypatch.setattr(webhook_inspection, "PAGE_SIZE", page_size)
    tenants = [await app.tenant() for _ in range(2)]
    webhooks = [
        await app.webhook(tenant, "https://example.com/") for tenant in tenants for _ in range(3)
    ]

    read = [webhook async for webhook in webhook_inspection.every_webhook(app.db)]

    assert sorted(webhook.id for webhook in read) == sorted(webhooks)
    assert [webhook.tenant_id for webhook in read] == sorted(tenants * 3)
