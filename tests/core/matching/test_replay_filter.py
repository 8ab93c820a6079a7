"""A replay sends only events of the requested types that match the subscription."""

import json

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, deliveries_filter, events_filter
from tests.core.matching.subscriptions import matcher_of
from tests.core.matching.test_index import TYPES, data, names, subscriptions

asked_types = st.none() | st.lists(names, max_size=3)


@given(asked=asked_types, subscription=subscriptions, event_type=st.sampled_from(TYPES), value=data)
def test_an_event_is_chosen_if_its_type_was_requested_and_the_subscription_matches(
    asked: list[str] | None,
    subscription: tuple[list[str] | None, object],
    event_type: str,
    value: object,
) -> None:
    event_types, filters = subscription
    wants = matcher_of(event_types, filters).matches(event_type, value)
    named = matcher_of(asked, None).matches_type(event_type)

    choice = events_filter(
        None if asked is None else tuple(asked),
        None if event_types is None else tuple(event_types),
        None if filters is None else json.dumps(filters),
    )

    assert isinstance(choice, ReplayFilter)
    assert (choice.matches_type(event_type) and choice.matches_data(value)) == (wants and named)
    assert choice.needs_data or choice.matches_data(value)


@given(asked=asked_types, event_type=st.sampled_from(TYPES))
def test_a_delivery_is_chosen_by_the_requested_types_alone(
    asked: list[str] | None, event_type: str
) -> None:
    choice = deliveries_filter(None if asked is None else tuple(asked))

    assert not choice.needs_data
    assert choice.matches_data({"any": "data"})
    assert choice.matches_type(event_type) == matcher_of(asked, None).matches_type(event_type)


def test_an_unusable_filter_chooses_nothing_and_gives_the_reason() -> None:
    choice = events_filter(("*",), None, '{"colour": "blue"}')

    assert isinstance(choice, UnusableFilter)
    assert "colour" in choice.reason
