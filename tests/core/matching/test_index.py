"""An index finds the same webhooks as matching every subscription by itself."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.index import SubscriptionIndex
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
        index.put(webhook_id, matcher)
    return index


def matching(index: SubscriptionIndex, event_type: str, event_data: object) -> set[WebhookId]:
    candidates = index.candidates(event_type, event_data)
    return {key for key, each in candidates.items() if each.matches(event_type, event_data)}


@given(
    subscribed=st.lists(subscriptions, max_size=12),
    changes=st.lists(st.tuples(st.integers(0, 14), st.none() | subscriptions), max_size=12),
    events=st.lists(st.tuples(st.sampled_from([*TYPES, "email.new", "email.*", ""]), data)),
)
def test_the_index_finds_the_webhooks_whose_subscriptions_match(
    subscribed: list[tuple[list[str] | None, object]],
    changes: list[tuple[int, tuple[list[str] | None, object] | None]],
    events: list[tuple[str, object]],
) -> None:
    matchers = {WebhookId(UUID(int=n)): matcher_of(*each) for n, each in enumerate(subscribed)}
    index = index_of(matchers)
    for n, changed in changes:
        webhook_id = WebhookId(UUID(int=n))
        if changed is None:
            index.remove(webhook_id)
            matchers.pop(webhook_id, None)
        else:
            matchers[webhook_id] = matcher_of(*changed)
            index.put(webhook_id, matchers[webhook_id])

    assert len(index) == len(matchers)
    for event_type, event_data in events:
        naive = {key for key, each in matchers.items() if each.matches(event_type, event_data)}
        assert matching(index, event_type, event_data) == naive
        if not index.needs_data(event_type):
            assert matching(index, event_type, None) == naive


@given(st.lists(subscriptions, max_size=8))
def test_an_index_from_which_everything_was_removed_holds_nothing(
    subscribed: list[tuple[list[str] | None, object]],
) -> None:
    matchers = {WebhookId(UUID(int=n)): matcher_of(*each) for n, each in enumerate(subscribed)}
    index = index_of(matchers)

    for webhook_id in matchers:
        index.remove(webhook_id)

    assert len(index) == 0
    assert not index._buckets


def test_an_empty_index_finds_no_webhooks() -> None:
    index = SubscriptionIndex()

    assert matching(index, "email.opened", {}) == set()
    assert not index.needs_data("email.opened")


def test_data_is_needed_only_for_types_with_conditional_subscribers() -> None:
    every_event, conditional = WebhookId(UUID(int=1)), WebhookId(UUID(int=2))
    index = index_of(
        {
            every_event: matcher_of(None, None),
            conditional: matcher_of(["email.opened"], {"campaign_ids": ["a"]}),
        }
    )

    assert index.needs_data("email.opened")
    assert not index.needs_data("email.clicked")
    assert matching(index, "email.opened", {"campaign_id": "a"}) == {every_event, conditional}
    assert matching(index, "email.opened", {"campaign_id": "b"}) == {every_event}


def test_of_ten_thousand_filters_only_those_that_match_are_asked() -> None:
    matchers = {
        WebhookId(UUID(int=n)): matcher_of(
            None, {"filters": {"plan": "pro", "contact.id": f"contact-{n // 3}"}}
        )
        for n in range(9_999)
    }
    index = index_of(matchers)

    candidates = index.candidates("email.opened", {"plan": "pro", "contact": {"id": "contact-7"}})

    assert set(candidates) >= {WebhookId(UUID(int=n)) for n in (21, 22, 23)}
    assert len(candidates) <= 6  # some came while both of their conditions were equally rare


def test_of_thousands_of_paths_only_those_in_the_data_are_followed() -> None:
    matchers = {
        WebhookId(UUID(int=n)): matcher_of(None, {"filters": {f"field_{n}.value": 1}})
        for n in range(5_000)
    }
    index = index_of(matchers)

    candidates = index.candidates("email.opened", {"field17": 1, "field_18": {"value": 1}})

    assert set(candidates) == {WebhookId(UUID(int=18))}


def test_subscribers_of_a_type_are_remembered_until_a_subscription_changes() -> None:
    first, second = WebhookId(UUID(int=1)), WebhookId(UUID(int=2))
    index = index_of({first: matcher_of(["email.*"], None)})
    found_at = index.version
    index.remember("email.opened", [first], version=found_at)
    assert index.known_subscribers("email.opened") == [first]

    index.put(second, matcher_of(None, None))

    assert index.known_subscribers("email.opened") is None
    # A search that had begun before.
    index.remember("email.opened", [first], version=found_at)
    assert index.known_subscribers("email.opened") is None


def test_subscribers_that_depend_on_data_are_not_remembered() -> None:
    webhook = WebhookId(UUID(int=1))
    index = index_of({webhook: matcher_of(None, {"campaign_ids": ["a"]})})

    index.remember("email.opened", [webhook], version=index.version)

    assert index.known_subscribers("email.opened") is None
