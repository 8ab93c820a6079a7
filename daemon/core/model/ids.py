"""Ids, each a type of its own, so that mypy rejects one in place of another."""

from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
WebhookId = NewType("WebhookId", UUID)
EventId = NewType("EventId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
NoticeId = NewType("NoticeId", int)
ReplayId = NewType("ReplayId", UUID)
TokenId = NewType("TokenId", UUID)
