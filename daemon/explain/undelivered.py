"""
The events that ought to have been delivered to a webhook and were not, step by step.

An event ought to have been delivered if the webhook wants it as it is now, or if attempts were made
and all failed. It was, if one attempt succeeded; it still may be while one is pending. No
connection is held while data are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from daemon.core.explanations.attempts import explain_attempts
from daemon.core.explanations.settings import Question, explain_settings
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.event_data import EventData
from daemon.core.matching.matcher import Matcher
from daemon.core.model.cursor import Cursor
from daemon.core.model.explanations import ExplainedWebhook, Explanation, Kept, Waiting
from daemon.core.model.operational_events import WebhookScope
from daemon.core.model.undelivered import ProbedEvent, UndeliveredEvent, UndeliveredQuestion
from daemon.core.wire.json_value import parse_json
from daemon.runtime.time_slice import TimeSlice
from daemon.store import explained_events, undelivered
from daemon.store.replay_candidates import DATA_READ_AT_ONCE, read_in_order
from daemon.store.session import Connect
from daemon.store.stored_events import quick_data


@dataclass(frozen=True, slots=True)
class Step:
    """
    The events that one step found; the next one begins at `end`, None after the last.

    `unknown` counts events of which this is unknown: deliveries of their time are no longer kept,
    or their data are too large to be compared here.
    """

    missed: list[ProbedEvent] = field(default_factory=list)
    unknown: int = 0
    end: Cursor | None = None


async def read_step(
    connect: Connect,
    question: UndeliveredQuestion,
    webhook: ExplainedWebhook,
    kept: Kept,
    *,
    before: Cursor,
) -> Step:
    """Look at some hundred events before a place; `connect` lends connections in no transaction."""
    async with connect() as db, db.transaction():
        await read_in_order(db)
        page = await undelivered.read_page(db, question, before=before)
    wanted, too_large = await _select_wanted(connect, webhook, page.events)
    missed = [each for each in wanted if not _is_old(each, kept)]
    return Step(missed, len(wanted) - len(missed) + too_large, page.end)


async def explain_missed(
    connect: Connect, webhook: ExplainedWebhook, kept: Kept, missed: ProbedEvent
) -> UndeliveredEvent:
    """Say why an event was not delivered."""
    explanation = await _explain(connect, webhook, kept, missed)
    return UndeliveredEvent(missed.event, missed.created_at, explanation)


async def _explain(
    connect: Connect, webhook: ExplainedWebhook, kept: Kept, missed: ProbedEvent
) -> Explanation:
    event, data = missed.event, None
    if missed.has_failed:
        async with connect() as db:
            attempts = await explained_events.attempts(db, event.id, [webhook.id])
        if attempts[webhook.id]:
            return explain_attempts(attempts[webhook.id], webhook, now=kept.now)
    if any(each.event_filters is not None for each in webhook.versions):
        async with connect() as db:
            texts = await quick_data(db, [event.id])
        data = EventData(parse_json(texts[event.id])) if event.id in texts else None
    steps = explain_settings(Question(event, webhook, data), waiting=Waiting.NO, kept=kept)
    return await TimeSlice(patient=True).run(steps)


async def _select_wanted(
    connect: Connect, webhook: ExplainedWebhook, events: Sequence[ProbedEvent]
) -> tuple[list[ProbedEvent], int]:
    """
    Those of the events that failed, or that the webhook wants as it is now.

    Also returns how many have data that are too large to be compared.
    """
    matcher = compile_subscription(webhook.latest.event_types, webhook.latest.event_filters)
    failed = [each for each in events if each.has_failed and not each.is_over]
    if isinstance(matcher, UnusableFilter) or webhook.scope != WebhookScope.EVENTS:
        return failed, 0
    candidates = [
        each
        for each in events
        if not (each.is_over or each.has_failed or _came_before(each, webhook))
        and matcher.matches_type(each.event.type)
    ]
    if not matcher.needs_data:
        return _in_order([*failed, *candidates]), 0
    matching, too_large = await _select_by_data(connect, matcher, candidates)
    return _in_order([*failed, *matching]), too_large


async def _select_by_data(
    connect: Connect, matcher: Matcher, candidates: Sequence[ProbedEvent]
) -> tuple[list[ProbedEvent], int]:
    """Those whose data match, and how many were not compared. Parsed, one is kept at a time."""
    matching: list[ProbedEvent] = []
    compared = 0
    time_slice = TimeSlice(patient=True)
    for start in range(0, len(candidates), DATA_READ_AT_ONCE):
        some = candidates[start : start + DATA_READ_AT_ONCE]
        async with connect() as db:
            texts = await quick_data(db, [each.event.id for each in some])
        compared += len(texts)
        for each in some:
            if each.event.id in texts:
                data = EventData(parse_json(texts[each.event.id]))
                if await time_slice.run(matcher.decide(data)):
                    matching.append(each)
    return matching, len(candidates) - compared


def _in_order(events: Sequence[ProbedEvent]) -> list[ProbedEvent]:
    return sorted(events, key=lambda each: (each.created_at, each.event.id), reverse=True)


def _came_before(each: ProbedEvent, webhook: ExplainedWebhook) -> bool:
    """Whether the webhook did not exist when the event came in."""
    at, created_at = each.event.at, webhook.created_at
    return at is not None and created_at is not None and at < created_at


def _is_old(each: ProbedEvent, kept: Kept) -> bool:
    return each.event.at is not None and each.event.at < kept.deliveries_since
