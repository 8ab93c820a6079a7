"""
Subscriptions compiled into matchers: `webhooks.event_types` and `webhooks.event_filters`.

The rule is that of the contract, section 3. A filter that is malformed or beyond the limits matches
nothing and has a reason; compiling it never raises, and never widens what a customer gets.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from daemon.core.matching.conditions import MalformedFilterError, conditions, kind_of, type_names
from daemon.core.matching.limits import LONGEST_TEXT, MOST_TYPES
from daemon.core.matching.matcher import Matcher, TypePatterns
from daemon.core.wire.json_value import parse_json


@dataclass(frozen=True, slots=True)
class UnusableFilter:
    """A subscription that matches nothing; `reason` is a sentence for the customer."""

    reason: str


def compile_subscription(
    event_types: tuple[str, ...] | None, event_filters: str | None
) -> Matcher | UnusableFilter:
    """Compile the columns of one webhook; `event_filters` is JSON text. Never raises."""
    if event_types is not None and (reason := _reason_against(event_types)):
        return UnusableFilter(f"event_types: {reason}")
    if event_filters is not None and len(event_filters) > LONGEST_TEXT:
        return UnusableFilter(
            f"event_filters: must be at most {LONGEST_TEXT} characters long, as JSON text."
        )
    return _compile(event_types, event_filters)


def compile_types(names: Iterable[str | None]) -> TypePatterns:
    """Compile a list of names and wildcards (`email.*`, `*`); an empty list matches every type."""
    names = tuple(names)
    if not names or "*" in names:
        return TypePatterns(None)
    # An array of PostgreSQL may contain NULLs; they match no type.
    prefixes = tuple(name[:-1] for name in names if name and name.endswith(".*"))
    return TypePatterns(frozenset(name for name in names if name is not None), prefixes)


def _reason_against(names: tuple[object, ...]) -> str | None:
    """Why an array of PostgreSQL is not a list of types; it may have several dimensions."""
    if len(names) > MOST_TYPES:
        return f"at most {MOST_TYPES} entries are allowed."
    for name in names:
        if name is not None and not isinstance(name, str):
            return f"{kind_of(name)} is not an event type."
    if sum(len(name) for name in names if isinstance(name, str)) > LONGEST_TEXT:
        return f"must be at most {LONGEST_TEXT} characters together."
    return None


def _compile(
    event_types: tuple[str, ...] | None, event_filters: str | None
) -> Matcher | UnusableFilter:
    try:
        filters = parse_json(event_filters)
    except ValueError:
        return UnusableFilter("event_filters: this is not JSON.")
    if filters is None:
        filters = {}
    if not isinstance(filters, dict):
        return UnusableFilter(f"event_filters: must be an object, not {kind_of(filters)}.")
    try:
        return Matcher(
            (compile_types(event_types or ()), compile_types(type_names(filters))),
            tuple(conditions(filters)),
        )
    except MalformedFilterError as error:
        return UnusableFilter(f"event_filters{error}")
