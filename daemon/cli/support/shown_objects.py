"""Webhooks, events and deliveries as the API's responses, for the commands that print them."""

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from daemon.admin.schemas import Webhook
    from daemon.admin.schemas.base import ResponseModel
    from daemon.config import Config
    from daemon.core.model.webhooks import WebhookEntry
    from daemon.store.session import Connection


def webhook_document(webhook: "WebhookEntry", config: "Config") -> "Webhook":
    """A webhook without its secrets."""
    from daemon.admin.views.webhooks import webhook_response
    from daemon.config.policies import allowed_recipients, master_keys
    from daemon.secrets.encryption import Vault

    return webhook_response(
        *(webhook, Vault(master_keys(config)), allowed_recipients(config)),
        schedules=config.delivery.retry_schedules.keys(),
    )


async def shown_webhook(
    db: "Connection", config: "Config", tenant_id: UUID, object_id: UUID
) -> "ResponseModel | None":
    """A webhook, without its secrets; None if it has just been deleted."""
    from daemon.core.model.ids import TenantId, WebhookId
    from daemon.store import webhooks

    webhook = await webhooks.get(db, TenantId(tenant_id), WebhookId(object_id))
    return None if webhook is None else webhook_document(webhook, config)


async def shown_event(
    db: "Connection", _: "Config", tenant_id: UUID, object_id: UUID
) -> "ResponseModel | None":
    """An event with its data and deliveries; None if it has just been deleted."""
    from daemon.admin.views.events import MAX_DATA_BYTES, event_detail_response
    from daemon.core.model.ids import EventId, TenantId
    from daemon.store import attempts, stored_events

    tenant, event_id = TenantId(tenant_id), EventId(object_id)
    event = await stored_events.get_event(db, tenant, event_id, most_bytes=MAX_DATA_BYTES)
    if event is None:
        return None
    return event_detail_response(event, await attempts.list_for_event(db, tenant, event_id))


async def shown_delivery(
    db: "Connection", _: "Config", tenant_id: UUID, object_id: UUID
) -> "ResponseModel | None":
    """An attempt with its request, response and siblings; None if it has just been deleted."""
    from daemon.admin.views.deliveries import delivery_detail_response
    from daemon.admin.views.events import MAX_DATA_BYTES
    from daemon.core.model.ids import DeliveryId, TenantId
    from daemon.store import attempts

    tenant = TenantId(tenant_id)
    stored = await attempts.get_details(
        db, tenant, DeliveryId(object_id), most_bytes=MAX_DATA_BYTES
    )
    if stored is None:
        return None
    attempt = stored.attempt
    siblings = await attempts.list_for_event(
        db, tenant, attempt.event_id, webhook_id=attempt.webhook_id
    )
    return delivery_detail_response(stored, siblings)
