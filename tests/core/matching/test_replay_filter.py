"""A replay sends what was asked for and what the webhook wants, and nothing else."""

import json

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, deliveries_filter, events_filter
from tests.core.matching.subscriptions import matcher_of
from tests.core.matching.test_index import TYPES, data, names, subscriptions

asked_types = st.none() | st.lists(names, max_size=3)


@given(asked=asked_types, subscription=subscriptions, event_type=st.sampled_from(TYPES), value=data)
def test_an_event_is_chosen_when_it_was_asked_for_and_the_webhook_wants_it(
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
def test_of_deliveries_only_the_types_that_were_asked_for_decide(
    asked: list[str] | None, event_type: str
) -> None:
    choice = deliveries_filter(None if asked is None else tuple(asked))

    assert not choice.needs_data
    assert choice.matches_data({"any": "data"})
    assert choice.matches_type(event_type) == matcher_of(asked, None).matches_type(event_type)


def test_a_filter_that_cannot_be_understood_chooses_nothing_and_says_why() -> None:
    choice = events_filter(("*",), None, '{"colour": "blue"}')

    assert isinstance(choice, UnusableFilter)
    assert "colour" in choice.reason
