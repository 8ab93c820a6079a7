"""Sentences that say why a replay has nothing to send, or sent less than was counted."""

from daemon.core.model.replays import CountedEvents, CountedReplay, ReplaySource
from daemon.core.unprintable import escape
from daemon.store.replay_steps import LockedReplay

MOST_NAMED = 5  # types


def reason_for_nothing(counted: CountedReplay) -> str | None:
    """Why a replay has nothing to send; None if it has."""
    if counted.total:
        return None
    if counted.scope.of_replay is not None:
        return "none of its deliveries was given up, or they were attempted again since"
    if counted.scope.source is ReplaySource.EXHAUSTED:
        return "no delivery was exhausted in that time"
    return _reason_by_filter(counted.events) or _reason_by_history(counted)


def _reason_by_filter(events: CountedEvents) -> str | None:
    if events.unsubscribed:
        types = ", ".join(escape(each) for each in events.unsubscribed[:MOST_NAMED])
        more = len(events.unsubscribed) - MOST_NAMED
        return f"the webhook does not subscribe to {types}{f' and {more} more' * (more > 0)}"
    if not events.stored:
        return "no event of that time is stored"
    if not events.asked:
        return f"{_none_of(events.stored)} of that time has one of these types"
    if not events.of_types:
        return f"{_none_of(events.asked)} of that time has a type to which the webhook subscribes"
    if not events.matched:
        return f"{_none_of(events.of_types)} of these types matches the webhook's filters"
    return None


def _reason_by_history(counted: CountedReplay) -> str:
    assert counted.earlier is not None
    delivered, unknown = counted.earlier.delivered, counted.earlier.unknown
    if not unknown:
        return f"{_all(delivered)} delivered before"
    aged = "older than deliveries are kept, so it is unknown whether it was delivered"
    if not delivered:
        return f"each of the {unknown:,} events is {aged}"
    return f"{delivered:,} of the events were delivered before, and each of the others is {aged}"


def _none_of(count: int) -> str:
    return "no event" if count == 1 else f"none of the {count:,} events"


def _all(count: int) -> str:
    return "the only event was" if count == 1 else f"all {count:,} events were"


def reason_for_fewer(replay: LockedReplay, missing: int, total: int) -> str:
    """Why `missing` of the `total` deliveries that were counted were not made."""
    verb = "was" if missing == 1 else "were"
    return f"{missing:,} of the {total:,} that were counted {verb} not sent: {_cause(replay)}"


def _cause(replay: LockedReplay) -> str:
    if replay.subscription_changed:
        return "the webhook's event types or filters were changed meanwhile"
    if replay.source is ReplaySource.EXHAUSTED:
        return "they were attempted again, or deleted, meanwhile"
    if replay.only_undelivered:
        return "they were delivered, or deleted, meanwhile"
    return "the events were deleted meanwhile"
