"""
The events that ought to have been delivered to a webhook and were not, step by step.

An event ought to have been delivered if the webhook wants it as it is now, or if attempts were made
and all failed. It was, if one attempt succeeded; it still may be while one is pending.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from daemon.core.explanations.attempts import explain_attempts
from daemon.core.explanations.settings import Question, explain_settings, subscription_refusal
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.event_data import EventData
from daemon.core.matching.matcher import Matcher
from daemon.core.model.cursor import Cursor
from daemon.core.model.explanations import ExplainedWebhook, Explanation, Kept, Waiting
from daemon.core.model.ids import EventId
from daemon.core.model.undelivered import ProbedEvent, UndeliveredEvent, UndeliveredQuestion
from daemon.core.wire.json_value import parse_json
from daemon.runtime.time_slice import TimeSlice
from daemon.store import explained_events, undelivered
from daemon.store.replay_candidates import DATA_READ_AT_ONCE, read_in_order
from daemon.store.session import Connection
from daemon.store.stored_events import quick_data


@dataclass(frozen=True, slots=True)
class Missed:
    """An undelivered event with the data that were read to decide, if any."""

    probed: ProbedEvent
    data: EventData | None


@dataclass(frozen=True, slots=True)
class Step:
    """
    What one step found; `end` is where the next one begins, None after the last.

    `unknown` counts events of which nobody can tell: deliveries of their time are not kept any
    more, or their data are too large to be compared here.
    """

    missed: list[Missed] = field(default_factory=list)
    unknown: int = 0
    end: Cursor | None = None


async def read_step(
    db: Connection,
    question: UndeliveredQuestion,
    webhook: ExplainedWebhook,
    kept: Kept,
    *,
    before: Cursor,
) -> Step:
    """Look at some hundred events before a place; a connection in no transaction."""
    async with db.transaction():
        await read_in_order(db)
        page = await undelivered.read_page(db, question, before=before)
    open_events = [each for each in page.events if not each.is_over]
    data, too_large = await _data_for(db, webhook, open_events)
    wanted = await _wanted(webhook, open_events, data)
    new = [each.event.id for each in wanted if not each.has_failed]
    waiting = await explained_events.waiting(db, question.tenant_id, question.webhook_id, new)
    old = [each for each in wanted if _is_old(each, kept)]
    missed = [
        Missed(each, data.get(each.event.id))
        for each in wanted
        if not _is_old(each, kept) and each.event.id not in waiting
    ]
    return Step(missed, len(old) + len(too_large), page.end)


async def explain_missed(
    db: Connection, webhook: ExplainedWebhook, kept: Kept, missed: Missed
) -> UndeliveredEvent:
    """Say why an event was not delivered."""
    event = missed.probed.event
    explanation = await _explain(db, webhook, kept, missed)
    return UndeliveredEvent(event, missed.probed.created_at, explanation)


async def _explain(
    db: Connection, webhook: ExplainedWebhook, kept: Kept, missed: Missed
) -> Explanation:
    event = missed.probed.event
    if missed.probed.has_failed:
        attempts = await explained_events.attempts(db, event.id, webhook.id)
        if attempts:
            return explain_attempts(attempts, webhook, now=kept.now)
    data = missed.data
    if data is None:  # its present filter needs none, but a former one may
        texts = await quick_data(db, [event.id])
        data = EventData(parse_json(texts[event.id])) if event.id in texts else None
    steps = explain_settings(Question(event, webhook, data), waiting=Waiting.NO, kept=kept)
    return await TimeSlice().run(steps)


async def _data_for(
    db: Connection, webhook: ExplainedWebhook, events: Sequence[ProbedEvent]
) -> tuple[dict[EventId, EventData], set[EventId]]:
    """The data that decide whether these events are wanted, and events with too large ones."""
    matcher = _subscription(webhook)
    if isinstance(matcher, UnusableFilter) or not matcher.needs_data:
        return {}, set()
    ids = [
        each.event.id
        for each in events
        if not each.has_failed and matcher.matches_type(each.event.type)
    ]
    found: dict[EventId, EventData] = {}
    time_slice = TimeSlice()
    for start in range(0, len(ids), DATA_READ_AT_ONCE):
        texts = await quick_data(db, ids[start : start + DATA_READ_AT_ONCE])
        for event_id, text in texts.items():
            found[event_id] = EventData(parse_json(text))
            await time_slice.yield_if_used()
    return found, set(ids) - found.keys()


async def _wanted(
    webhook: ExplainedWebhook, events: Sequence[ProbedEvent], data: dict[EventId, EventData]
) -> list[ProbedEvent]:
    """Those of the events that failed, or that the webhook wants as it is now."""
    matcher = _subscription(webhook)
    time_slice = TimeSlice()
    wanted = []
    for each in events:
        if each.has_failed:
            wanted.append(each)
            continue
        steps = subscription_refusal(matcher, each.event.type, data.get(each.event.id))
        if not _came_before(each, webhook) and await time_slice.run(steps) is None:
            wanted.append(each)
    return wanted


def _subscription(webhook: ExplainedWebhook) -> Matcher | UnusableFilter:
    return compile_subscription(webhook.latest.event_types, webhook.latest.event_filters)


def _came_before(each: ProbedEvent, webhook: ExplainedWebhook) -> bool:
    """Whether the webhook did not exist when the event came in."""
    at, created_at = each.event.at, webhook.created_at
    return at is not None and created_at is not None and at < created_at


def _is_old(each: ProbedEvent, kept: Kept) -> bool:
    return each.event.at is not None and each.event.at < kept.deliveries_since
