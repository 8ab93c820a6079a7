"""
The fate of one event at one webhook, or at every webhook of its tenant.

The rule: no connection is held while data are waited for, parsed or compared.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from daemon.core.explanations.attempts import explain_attempts
from daemon.core.explanations.settings import Question, explain_settings
from daemon.core.matching.event_data import EventData
from daemon.core.model.explanations import (
    ChainAttempt,
    ExplainedEvent,
    ExplainedWebhook,
    Explanation,
    Kept,
    Waiting,
)
from daemon.core.model.holds import Hold
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.runtime.time_slice import TimeSlice
from daemon.store import erasure_webhooks, explained_events, holds, webhook_history
from daemon.store.event_data_reader import EventDataReader
from daemon.store.session import Connect, Connection

READ_AT_ONCE = 50  # webhooks: their histories may be large
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
        self, connect: Connect, tenant_id: TenantId, event_id: EventId, webhook_id: WebhookId
    ) -> ExplainedDelivery | UnknownObject:
        """
        Explain an event at a webhook of the tenant, deleted ones included.

        Raises MemoryBusyError as `EventDataReader` does.
        """
        async with connect() as db:
            history = await webhook_history.get(db, tenant_id, webhook_id)
        if history is None:
            return UnknownObject("webhook")
        explained = await self.explain_at(connect, tenant_id, event_id, [webhook_id])
        return explained[0] if explained else UnknownObject("event")

    async def explain_everywhere(
        self, connect: Connect, tenant_id: TenantId, event_id: EventId
    ) -> list[ExplainedDelivery]:
        """Explain a stored event at each webhook that its tenant has, or had lately."""
        async with connect() as db:
            present = await erasure_webhooks.list_ids(db, tenant_id)
            deleted = await webhook_history.deleted_ids(db, tenant_id, limit=MOST_DELETED)
        return await self.explain_at(connect, tenant_id, event_id, [*present, *deleted])

    async def explain_at(
        self,
        connect: Connect,
        tenant_id: TenantId,
        event_id: EventId,
        webhooks: Sequence[WebhookId],
    ) -> list[ExplainedDelivery]:
        """
        Explain an event at each of these webhooks of which the tenant has, or had, something.

        Raises MemoryBusyError as `EventDataReader` does.
        """
        explained = []
        async with self._asked(connect, tenant_id, event_id, webhooks) as asked:
            for start in range(0, len(webhooks), READ_AT_ONCE):
                some = webhooks[start : start + READ_AT_ONCE]
                async with connect() as db:
                    histories = await webhook_history.get_each(db, tenant_id, some)
                    attempts = await explained_events.attempts(db, event_id, list(histories))
                for each, webhook in histories.items():
                    found = await _explain(asked, webhook, attempts[each])
                    if found is not None:
                        explained.append(ExplainedDelivery(event_id, asked.event, webhook, found))
        return explained

    async def kept(self, db: Connection) -> Kept:
        """The database's time, and how long rows are kept."""
        return await explained_events.kept(db, deliveries=self.deliveries, events=self.events)

    @asynccontextmanager
    async def _asked(
        self,
        connect: Connect,
        tenant_id: TenantId,
        event_id: EventId,
        webhooks: Sequence[WebhookId],
    ) -> AsyncIterator["_AskedEvent"]:
        """Read for the block what the explanations of one event have in common."""
        waiting: dict[WebhookId, Waiting] = {}
        async with connect() as db:
            kept = await self.kept(db)
            event = await explained_events.get(db, tenant_id, event_id)
            holding = await holds.list_of(db, tenant_id)
            if event is not None:
                waiting = await explained_events.waiting_at(db, tenant_id, event_id, webhooks)
        async with AsyncExitStack() as lent:
            yield _AskedEvent(
                *(connect, event, kept, waiting),
                hold=next(iter(holding), None),
                reader=self.reader,
                lent=lent,
            )


@dataclass(slots=True)
class _AskedEvent:
    """An event that is asked about, its data once they are needed."""

    connect: Connect
    event: ExplainedEvent | None
    kept: Kept
    waiting: dict[WebhookId, Waiting]
    hold: Hold | None
    reader: EventDataReader
    lent: AsyncExitStack
    _data: EventData | None = None
    _is_read: bool = False

    async def data(self, event: ExplainedEvent) -> EventData | None:
        """The data of the event; None if they are larger than fan-out compares."""
        if not self._is_read:
            self._data = await self.lent.enter_async_context(
                self.reader.data_of(self.connect, event.tenant_id, event.id)
            )
            self._is_read = True
        return self._data


async def _explain(
    asked: _AskedEvent, webhook: ExplainedWebhook, attempts: Sequence[ChainAttempt]
) -> Explanation | None:
    """Explain; None if nothing is stored of the event at this webhook."""
    if attempts:
        return explain_attempts(attempts, webhook, now=asked.kept.now, hold=asked.hold)
    event = asked.event
    if event is None:
        return None
    has_filters = any(each.event_filters is not None for each in webhook.versions)
    data = await asked.data(event) if has_filters else None
    steps = explain_settings(
        Question(event, webhook, data),
        waiting=asked.waiting.get(webhook.id, Waiting.NO),
        kept=asked.kept,
    )
    return await TimeSlice(patient=True).run(steps)
