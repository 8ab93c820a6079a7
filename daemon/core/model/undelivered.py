"""Undelivered events: what ought to have been delivered to a webhook, and was not."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.explanations import ExplainedEvent, Explanation
from daemon.core.model.ids import TenantId, WebhookId


@dataclass(frozen=True, slots=True)
class UndeliveredQuestion:
    """
    Which events a webhook of the tenant ought to have got and has not.

    They are those with a `created_at` from `since` on and before `until`.
    """

    tenant_id: TenantId
    webhook_id: WebhookId
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class UndeliveredEvent:
    """An event that was not delivered, and why not."""

    event: ExplainedEvent
    created_at: datetime
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class ProbedEvent:
    """An event that is not known to be delivered, with what its attempts at a webhook tell."""

    event: ExplainedEvent
    created_at: datetime
    is_over: bool  # a success, or something pending or in the inbox
    has_failed: bool
