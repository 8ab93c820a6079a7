"""Why a subscription does not match: told by the matcher that decides, with the values."""

import json
from collections.abc import Generator
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.event_data import EventData, comparison_key
from daemon.core.matching.matcher import Matcher
from daemon.core.matching.mismatch import (
    ConditionMismatch,
    Mismatch,
    TypeMismatch,
    data_mismatch,
    type_mismatch,
)
from daemon.core.wire.json_value import parse_json
from tests.core.matching.subscriptions import OPENED, compile_values, matcher_of, scalars, values

T = TypeVar("T")


def ended(steps: Generator[None, None, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as stopped:
            result: T = stopped.value
            return result


def mismatch_of(matcher: Matcher, event_type: str, data: object) -> Mismatch | None:
    refused = type_mismatch(matcher, event_type)
    return refused or ended(data_mismatch(matcher, EventData(parse_json(json.dumps(data)))))


def test_a_type_that_is_not_subscribed_to_names_the_list_that_refuses() -> None:
    matcher = matcher_of(["email.*", "contact.created"], {"event_types": ["email.sent"]})

    assert mismatch_of(matcher, "campaign.paused", {}) == TypeMismatch(
        "eventTypes", ("contact.created", "email.*")
    )
    assert mismatch_of(matcher, OPENED, {}) == TypeMismatch(
        "eventFilters.event_types", ("email.sent",)
    )
    assert mismatch_of(matcher, "email.sent", {}) is None


def test_a_condition_shows_what_was_found_where_and_what_was_wanted() -> None:
    matcher = matcher_of(
        None, {"workspaces": ["w1"], "filters": {"contact.tags": ["vip", 1], "a": True}}
    )
    fits = {"workspace": {"name": "w1"}, "contact": {"tags": ["x", "vip"]}, "a": True}

    def found(**changed: object) -> Mismatch | None:
        return mismatch_of(matcher, OPENED, fits | changed)

    assert found() is None
    assert found(workspace={"id": "w2"}) == ConditionMismatch(
        "workspaces", "workspace.id", ("w2",), ("w1",)
    )
    assert found(contact={"tags": ["y", 2]}) == ConditionMismatch(
        "filters", "contact.tags", ("y", 2), ("vip", 1)
    )
    assert found(contact={}) == ConditionMismatch("filters", "contact.tags", (), ("vip", 1))
    assert found(a=1) == ConditionMismatch("filters", "a", (1,), (True,))


def test_what_is_shown_is_bounded_and_is_json_that_every_parser_reads() -> None:
    matcher = matcher_of(None, {"filters": {"a": [f"v{n}" for n in range(500)]}})
    data = {"a": [*range(100_000), "y" * 1000, 2**70]}

    refused = mismatch_of(matcher, OPENED, data)
    large = ended(
        data_mismatch(
            matcher_of(None, {"filters": {"a": 1}}),
            EventData({"a": [2**70, Decimal("1e400"), "y" * 1000]}),
        )
    )

    assert isinstance(refused, ConditionMismatch)
    assert (len(refused.found), len(refused.wanted)) == (10, 10)
    assert large is not None
    assert set(large.found) == {str(2**70), "1" + "0" * 99 + "…", "y" * 100 + "…"}


@given(
    types=st.none() | st.lists(st.sampled_from(["*", "email.*", OPENED, "a"]), max_size=2),
    filters=values
    | st.fixed_dictionaries(
        {},
        optional={
            "workspaces": st.lists(scalars, max_size=3),
            "campaign_ids": st.lists(scalars, max_size=3),
            "filters": st.dictionaries(
                st.sampled_from(["contact", "contact.tags", "tags", "campaignId", "a.b"]),
                scalars | st.lists(scalars, max_size=3),
                max_size=3,
            ),
        },
    ),
    data=values
    | st.dictionaries(
        st.sampled_from(["contact", "tags", "campaignId", "workspace_id", "a"]), values
    ),
)
def test_a_mismatch_is_told_if_and_only_if_the_matcher_refuses(
    types: list[str] | None, filters: Any, data: Any
) -> None:
    matcher = compile_values(types, filters)
    if not isinstance(matcher, Matcher):
        return

    refused = mismatch_of(matcher, OPENED, data)

    assert (refused is None) == matcher.matches(OPENED, parse_json(json.dumps(data)))
    if isinstance(refused, ConditionMismatch):
        shared = {comparison_key(each) for each in refused.found} & {
            comparison_key(each) for each in refused.wanted
        }
        assert not shared
