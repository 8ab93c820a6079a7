"""Subscriptions compiled from Python values, and strategies for anything JSON."""

import json

from hypothesis import strategies as st

from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.matcher import Matcher
from daemon.core.wire.json_value import parse_json

OPENED = "email.opened"

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["vip", "promotional", "email.opened", "*", "1"]),
)
names = st.sampled_from(
    ["event_types", "workspaces", "campaign_ids", "filters", "contact", "tags", "campaignId", "id"]
) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def compile_values(event_types: list[str] | None, filters: object) -> Matcher | UnusableFilter:
    return compile_subscription(
        None if event_types is None else tuple(event_types),
        None if filters is None else json.dumps(filters),
    )


def matcher_of(event_types: list[str] | None = None, filters: object = None) -> Matcher:
    compiled = compile_values(event_types, filters)
    assert isinstance(compiled, Matcher), compiled
    return compiled


def matches(filters: object, data: object, *, event_type: str = OPENED) -> bool:
    return matcher_of(None, filters).matches(event_type, parse_json(json.dumps(data)))
