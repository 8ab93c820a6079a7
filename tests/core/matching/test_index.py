"""An audience is only a quicker way to ask every subscription by itself."""

import json
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.compiler import compile_subscription
from daemon.core.matching.index import Subscribers, SubscriptionIndex
from daemon.core.matching.matcher import Matcher
from daemon.core.model.ids import WebhookId

TYPES = ["email.opened", "email.clicked", "contact.created", "email", "other"]

names = st.sampled_from([*TYPES, "email.*", "contact.*", "*", "emai.*", ".*"])
ids = st.sampled_from(["a", "b", 1])
filters = st.fixed_dictionaries(
    {},
    optional={
        "event_types": st.lists(names, max_size=3),
        "campaign_ids": st.lists(ids, min_size=1, max_size=2),
        "workspaces": st.lists(ids, min_size=1, max_size=2),
        "filters": st.dictionaries(st.sampled_from(["x", "contact.tag"]), ids, max_size=2),
    },
)
subscriptions = st.tuples(st.none() | st.lists(names, max_size=3), st.none() | filters)
data = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "campaign_id": ids,
        "workspaceId": ids,
        "x": ids | st.lists(ids),
        "contact": st.fixed_dictionaries({"tag": ids}),
    },
)


def compiled(event_types: list[str] | None, event_filters: object) -> Matcher:
    matcher = compile_subscription(
        None if event_types is None else tuple(event_types),
        None if event_filters is None else json.dumps(event_filters),
    )
    assert isinstance(matcher, Matcher), matcher
    return matcher


def audience_of(matchers: dict[WebhookId, Matcher]) -> SubscriptionIndex:
    audience = SubscriptionIndex()
    for webhook_id, matcher in matchers.items():
        audience.add(webhook_id, matcher)
    return audience


def who_want(listeners: Subscribers, event_data: object) -> list[WebhookId]:
    looking = [
        webhook_id for webhook_id, each in listeners.by_data if each.matches_data(event_data)
    ]
    return [*listeners.always, *looking]


@given(
    asked=st.lists(subscriptions, max_size=12),
    events=st.lists(st.tuples(st.sampled_from([*TYPES, "email.new", ""]), data), max_size=6),
)
def test_it_says_what_asking_every_subscription_by_itself_would_say(
    asked: list[tuple[list[str] | None, object]], events: list[tuple[str, object]]
) -> None:
    matchers = {WebhookId(UUID(int=n)): compiled(*each) for n, each in enumerate(asked)}
    audience = audience_of(matchers)

    for event_type, event_data in events:
        listeners = audience.of(event_type)
        wanted = who_want(listeners, event_data)

        naive = {key for key, each in matchers.items() if each.wants(event_type, event_data)}
        assert set(wanted) == naive
        assert len(wanted) == len(naive)
        if not listeners.depends_on_data:
            assert wanted == who_want(listeners, None)


def test_nobody_listens_in_an_empty_audience() -> None:
    listeners = SubscriptionIndex().of("email.opened")

    assert who_want(listeners, {}) == []
    assert not listeners.depends_on_data


def test_data_is_needed_only_for_types_whose_listeners_look_at_it() -> None:
    every, looking = WebhookId(UUID(int=1)), WebhookId(UUID(int=2))
    audience = audience_of(
        {
            every: compiled(None, None),
            looking: compiled(["email.opened"], {"campaign_ids": ["a"]}),
        }
    )

    assert audience.of("email.opened").depends_on_data
    assert not audience.of("email.clicked").depends_on_data
    assert who_want(audience.of("email.opened"), {"campaign_id": "a"}) == [every, looking]
    assert who_want(audience.of("email.opened"), {"campaign_id": "b"}) == [every]


def test_a_type_is_sorted_out_once() -> None:
    audience = audience_of({WebhookId(UUID(int=1)): compiled(None, None)})

    assert audience.of("email.opened") is audience.of("email.opened")
