"""What became of one event at one webhook, or at every webhook of its tenant."""

from dataclasses import dataclass
from datetime import timedelta

from daemon.core.explanations.attempts import explain_attempts
from daemon.core.explanations.settings import Question, explain_settings
from daemon.core.model.explanations import (
    ExplainedEvent,
    ExplainedWebhook,
    Explanation,
    Kept,
    Waiting,
)
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.explain.event_data import EventDataReader
from daemon.runtime.time_slice import TimeSlice
from daemon.store import erasure_webhooks, explained_events, webhook_history
from daemon.store.session import Connection

MOST_DELETED = 100  # deleted webhooks of a tenant that are explained too


@dataclass(frozen=True, slots=True)
class ExplainedDelivery:
    """An explanation with what it is about; `event` is None if only its attempts are stored."""

    event_id: EventId
    event: ExplainedEvent | None
    webhook: ExplainedWebhook
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class UnknownObject:
    """The tenant has no such webhook, or no such event; `kind` says which."""

    kind: str


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains, where rows are kept for so long."""

    deliveries: timedelta
    events: timedelta
    reader: EventDataReader

    async def explain(
        self, db: Connection, tenant_id: TenantId, event_id: EventId, webhook_id: WebhookId
    ) -> ExplainedDelivery | UnknownObject:
        """
        Explain an event at a webhook of the tenant, deleted ones included.

        Raises MemoryBusyError as `EventDataReader` does.
        """
        webhook = await webhook_history.get(db, tenant_id, webhook_id)
        if webhook is None:
            return UnknownObject("webhook")
        kept = await self.kept(db)
        event = await explained_events.get(db, tenant_id, event_id)
        explanation = await self._explain(db, event_id, event, webhook, kept)
        if explanation is None:
            return UnknownObject("event")
        return ExplainedDelivery(event_id, event, webhook, explanation)

    async def explain_everywhere(
        self, db: Connection, tenant_id: TenantId, event_id: EventId
    ) -> list[ExplainedDelivery]:
        """Explain a stored event at each webhook that its tenant has, or had lately."""
        present = await erasure_webhooks.list_ids(db, tenant_id)
        deleted = await webhook_history.deleted_ids(db, tenant_id, limit=MOST_DELETED)
        explained = [
            await self.explain(db, tenant_id, event_id, each) for each in (*present, *deleted)
        ]
        return [each for each in explained if isinstance(each, ExplainedDelivery)]

    async def kept(self, db: Connection) -> Kept:
        """The database's time, and how long rows are kept."""
        return await explained_events.kept(db, deliveries=self.deliveries, events=self.events)

    async def _explain(
        self,
        db: Connection,
        event_id: EventId,
        event: ExplainedEvent | None,
        webhook: ExplainedWebhook,
        kept: Kept,
    ) -> Explanation | None:
        """Explain; None if nothing is stored of the event at this webhook."""
        attempts = await explained_events.attempts(db, event_id, webhook.id)
        if attempts:
            return explain_attempts(attempts, webhook, now=kept.now)
        if event is None:
            return None
        waiting = await explained_events.waiting(db, event.tenant_id, webhook.id, [event_id])
        state = waiting.get(event_id, Waiting.NO)
        if not any(each.event_filters is not None for each in webhook.versions):
            return await _from_settings(Question(event, webhook, None), state, kept)
        async with self.reader.data_of(db, event.tenant_id, event_id) as data:
            return await _from_settings(Question(event, webhook, data), state, kept)


async def _from_settings(question: Question, waiting: Waiting, kept: Kept) -> Explanation:
    steps = explain_settings(question, waiting=waiting, kept=kept)
    return await TimeSlice(patient=True).run(steps)
