"""Whether any event at all can match a subscription, judged by its types alone."""

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.matcher import Matcher, TypePatterns

NOTHING_LISTED = "a list of event types has no entry but NULL, so no event can match."
NOTHING_IN_COMMON = (
    "event_types and event_filters.event_types have no type in common, so no event can match."
)


def reason_for_no_match(matcher: Matcher | UnusableFilter) -> str | None:
    """Return why no event can match, as a sentence for the customer; None if some can."""
    if isinstance(matcher, UnusableFilter):
        return matcher.reason
    if any(types.names == frozenset() for types in matcher.types):
        return NOTHING_LISTED
    own, in_filters = matcher.types
    return None if _have_common_types(own, in_filters) else NOTHING_IN_COMMON


def _have_common_types(one: TypePatterns, other: TypePatterns) -> bool:
    """A wildcard is a name too: another one matches it if it matches every type below it."""
    if one.names is None or other.names is None:
        return True
    return any(other.matches(name) for name in one.names) or any(
        one.matches(name) for name in other.names
    )
