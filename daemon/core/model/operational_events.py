"""
Operational events: what happens to webhooks and deliveries, as events for webhooks of their own.

The rule: a webhook gets either the application's events or operational ones, and what happens to
one that gets operational events raises none.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId


class WebhookScope(StrEnum):
    """Which events a webhook gets; the application may write anything else, which means none."""

    EVENTS = "events"  # the application's
    ACCOUNT = "account"  # operational ones of its tenant
    OPERATOR = "operator"  # operational ones of all tenants; tenants do not see such a webhook


class OperationalType(StrEnum):
    """The types of operational events."""

    FAILING = "webhook.failing"
    RECOVERED = "webhook.recovered"
    NEARLY_PAUSED = "webhook.nearly_paused"
    PAUSED = "webhook.paused"
    EXHAUSTED = "delivery.exhausted"
    REPLAY_COMPLETED = "replay.completed"


@dataclass(frozen=True, slots=True)
class ExhaustedDelivery:
    """The last attempt of a chain, which has failed; `attempted_at` is when it began."""

    event_id: EventId
    event_type: str
    delivery_id: DeliveryId
    attempted_at: datetime


@dataclass(frozen=True, slots=True)
class Transition:
    """
    What a result did to a webhook, or to its `delivery`.

    `failures` are those in a row at that moment; None stands for those that the webhook has at the
    end of the transaction.
    """

    type: OperationalType
    webhook_id: WebhookId
    reason: str | None
    failures: int | None = None
    delivery: ExhaustedDelivery | None = None


@dataclass(frozen=True, slots=True)
class OperationalEvent:
    """
    A stored event whose deliveries are not all inserted; `data` is JSON text without `count`.

    It stands for `count` transitions. `served_up_to` is the last subscriber, by id, that has its
    delivery; `subscriber` the only one that is still to be served, None for all of them.
    """

    number: int
    id: EventId
    tenant_id: TenantId
    type: str
    data: str
    count: int
    created_at: datetime
    served_up_to: WebhookId | None
    subscriber: WebhookId | None
