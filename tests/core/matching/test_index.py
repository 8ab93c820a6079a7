"""An index finds the same webhooks as matching every subscription by itself."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.index import Subscribers, SubscriptionIndex
from daemon.core.matching.matcher import Matcher
from daemon.core.model.ids import WebhookId
from tests.core.matching.subscriptions import matcher_of

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


def index_of(matchers: dict[WebhookId, Matcher]) -> SubscriptionIndex:
    index = SubscriptionIndex()
    for webhook_id, matcher in matchers.items():
        index.add(webhook_id, matcher)
    return index


def matching(subscribers: Subscribers, event_data: object) -> list[WebhookId]:
    conditional = [
        webhook_id for webhook_id, each in subscribers.conditional if each.matches_data(event_data)
    ]
    return [*subscribers.unconditional, *conditional]


@given(
    subscribed=st.lists(subscriptions, max_size=12),
    events=st.lists(st.tuples(st.sampled_from([*TYPES, "email.new", ""]), data), max_size=6),
)
def test_the_index_finds_the_webhooks_whose_subscriptions_match(
    subscribed: list[tuple[list[str] | None, object]], events: list[tuple[str, object]]
) -> None:
    matchers = {WebhookId(UUID(int=n)): matcher_of(*each) for n, each in enumerate(subscribed)}
    index = index_of(matchers)

    for event_type, event_data in events:
        subscribers = index.subscribers_of(event_type)
        found = matching(subscribers, event_data)

        naive = {key for key, each in matchers.items() if each.matches(event_type, event_data)}
        assert set(found) == naive
        assert len(found) == len(naive)
        if not subscribers.needs_data:
            assert found == matching(subscribers, None)


def test_an_empty_index_finds_no_webhooks() -> None:
    subscribers = SubscriptionIndex().subscribers_of("email.opened")

    assert matching(subscribers, {}) == []
    assert not subscribers.needs_data


def test_data_is_needed_only_for_types_with_conditional_subscribers() -> None:
    every_event, conditional = WebhookId(UUID(int=1)), WebhookId(UUID(int=2))
    index = index_of(
        {
            every_event: matcher_of(None, None),
            conditional: matcher_of(["email.opened"], {"campaign_ids": ["a"]}),
        }
    )

    assert index.subscribers_of("email.opened").needs_data
    assert not index.subscribers_of("email.clicked").needs_data
    assert matching(index.subscribers_of("email.opened"), {"campaign_id": "a"}) == [
        every_event,
        conditional,
    ]
    assert matching(index.subscribers_of("email.opened"), {"campaign_id": "b"}) == [every_event]


def test_the_subscribers_of_a_type_are_found_once() -> None:
    index = index_of({WebhookId(UUID(int=1)): matcher_of(None, None)})

    assert index.subscribers_of("email.opened") is index.subscribers_of("email.opened")
