"""What an index takes grows with the types and the values of its webhooks, never with both."""

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from daemon.core.matching.index import SubscriptionIndex
from daemon.core.matching.matcher import Matcher
from daemon.core.model.ids import WebhookId
from tests.core.matching.subscriptions import compile_values, matcher_of

TYPES = [f"type.number{n}" for n in range(98)] + ["email.opened", "email.*"]
WORKSPACES = [f"{n:03}" for n in range(1000)]
# Each is made of its webhook's number; JSON takes more characters in these tests.
SUBSCRIPTIONS: dict[str, Callable[[int], tuple[list[str] | None, Any]]] = {
    "small": lambda n: (None, {"filters": {"campaign": f"camp_{n}"}}),
    "types": lambda n: (TYPES, None),
    "own types": lambda n: ([f"type{n}.{each}" for each in range(100)], {"campaign_ids": [n]}),
    "types and values": lambda n: (TYPES, {"workspaces": [f"{n}{each}" for each in WORKSPACES]}),
    "indexed values": lambda n: (TYPES, {"workspaces": WORKSPACES[n : n + 100]}),
    "long paths": lambda n: (None, {"filters": {".".join(f"aB{n}{at}" for at in range(16)): 1}}),
    "one long string": lambda n: (None, {"filters": {"a" * 8000: "\U0001d4d0" * 600}}),
    "large numbers": lambda n: (None, {"filters": {"a": [n * 10**20 + at for at in range(600)]}}),
    "the largest": lambda n: (
        TYPES,
        {
            "workspaces": [f"{n}{each}" for each in WORKSPACES[:600]],
            "campaign_ids": WORKSPACES[:600],
            "filters": {f"f{at}": WORKSPACES[at : at + 99] for at in range(8)},
        },
    ),
}


def webhook(number: int) -> WebhookId:
    return WebhookId(UUID(int=number))


def calls_of(work: Callable[[], object]) -> int:
    """How many functions `work` calls, those of the interpreter included."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("make", SUBSCRIPTIONS.values(), ids=SUBSCRIPTIONS)
def test_an_index_knows_about_how_much_memory_it_takes(
    make: Callable[[int], tuple[list[str] | None, Any]],
) -> None:
    subscriptions = [make(n) for n in range(40)]
    tracemalloc.start()
    index = SubscriptionIndex()
    for n, each in enumerate(subscriptions):
        index.put(webhook(n), matcher_of(*each))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken / 1.2 <= index.bytes <= 4 * taken + 10_000


@pytest.mark.parametrize("make", SUBSCRIPTIONS.values(), ids=SUBSCRIPTIONS)
def test_an_index_from_which_everything_was_removed_takes_nothing(
    make: Callable[[int], tuple[list[str] | None, Any]],
) -> None:
    index = SubscriptionIndex()
    for n in (*range(10), 3, 4):
        index.put(webhook(n), matcher_of(*make(n % 7)))

    for n in range(10):
        index.remove(webhook(n))

    assert index.bytes == 0


def test_a_webhook_with_a_hundred_types_and_a_thousand_values_takes_their_sum() -> None:
    types, values = SubscriptionIndex(), SubscriptionIndex()
    both = SubscriptionIndex()
    types.put(webhook(1), matcher_of(TYPES, {"workspaces": ["a"]}))
    values.put(webhook(1), matcher_of(None, {"workspaces": WORKSPACES}))

    both.put(webhook(1), matcher_of(TYPES, {"workspaces": WORKSPACES}))

    assert both.bytes <= types.bytes + values.bytes < 250_000


@pytest.mark.parametrize("make", SUBSCRIPTIONS.values(), ids=SUBSCRIPTIONS)
def test_compiling_and_indexing_a_webhook_is_a_small_step(
    make: Callable[[int], tuple[list[str] | None, Any]],
) -> None:
    index = SubscriptionIndex()
    for n in range(5):
        index.put(webhook(n), matcher_of(*make(n)))
    types, filters = make(3)

    def change() -> None:
        compiled = compile_values(types, filters)
        assert isinstance(compiled, Matcher)
        index.put(webhook(3), compiled)

    assert calls_of(change) < 25_000  # a call takes some 0.1 µs


def test_the_largest_filter_matches_by_each_of_its_values() -> None:
    types, filters = SUBSCRIPTIONS["the largest"](1)
    index = SubscriptionIndex()
    index.put(webhook(1), matcher_of(types, filters))
    data: dict[str, Any] = {f"f{at}": WORKSPACES[at + 98] for at in range(8)}
    data |= {"workspace": {"name": "1599"}, "campaignId": "599"}

    def wanting(event_type: str, event_data: object) -> list[WebhookId]:
        found = index.candidates(event_type, event_data)
        return [key for key, each in found.items() if each.matches(event_type, event_data)]

    assert wanting("email.opened", data) == wanting("email.new", data) == [webhook(1)]
    assert wanting("contact.created", data) == []
    assert [wanting("email.opened", data | {key: "none"}) for key in data] == [[]] * len(data)


def test_the_webhooks_of_a_repeated_value_are_added_once_for_each_piece_of_the_data() -> None:
    index = SubscriptionIndex()
    for n in range(100):
        index.put(webhook(n), matcher_of(None, {"filters": {"a": ["x", "y"]}}))
    data = {"a": ["x", "y"] * 250}
    found: dict[WebhookId, Matcher] = {}

    steps = sum(1 for _ in index.search("email.opened", data, found))

    assert len(found) == 100
    assert steps <= 10
