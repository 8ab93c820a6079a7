"""A replay sends what was asked for and what the webhook wants, and nothing else."""

import json

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, replay_filter_for
from daemon.core.model.replays import ReplaySource
from tests.core.matching.subscriptions import matcher_of
from tests.core.matching.test_index import TYPES, data, names, subscriptions

asked_types = st.none() | st.lists(names, max_size=3)


@given(asked=asked_types, subscription=subscriptions, event_type=st.sampled_from(TYPES), value=data)
def test_an_event_is_sent_if_it_was_asked_for_and_the_webhook_wants_it(
    asked: list[str] | None,
    subscription: tuple[list[str] | None, object],
    event_type: str,
    value: object,
) -> None:
    event_types, filters = subscription
    wants = matcher_of(event_types, filters).matches(event_type, value)
    named = matcher_of(asked, None).matches_type(event_type)

    replay_filter = replay_filter_for(
        ReplaySource.EVENTS, asked, event_types, None if filters is None else json.dumps(filters)
    )

    assert isinstance(replay_filter, ReplayFilter)
    assert (replay_filter.matches_type(event_type) and replay_filter.matches_data(value)) == (
        wants and named
    )
    assert replay_filter.needs_data or replay_filter.matches_data(value)


@given(asked=asked_types, event_type=st.sampled_from(TYPES))
def test_exhausted_deliveries_are_matched_by_the_types_asked_for_alone(
    asked: list[str] | None, event_type: str
) -> None:
    replay_filter = replay_filter_for(ReplaySource.EXHAUSTED, asked, ["other.type"], None)

    assert isinstance(replay_filter, ReplayFilter)
    assert not replay_filter.needs_data
    assert replay_filter.matches_data({"any": "data"})
    assert replay_filter.matches_type(event_type) == matcher_of(asked, None).matches_type(
        event_type
    )


def test_an_unusable_filter_is_reported_with_its_reason() -> None:
    replay_filter = replay_filter_for(ReplaySource.EVENTS, ["*"], None, '{"colour": "blue"}')

    assert isinstance(replay_filter, UnusableFilter)
    assert "colour" in replay_filter.reason
