"""
The fields of a form that say which events a webhook gets, and the members that they stand for.

The rule: a filter is shown as fields or as JSON, and each is the whole filter: changing the view
changes nothing of it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import count

from daemon.admin.api.problems import FieldError, Problem
from daemon.admin.console.forms import ON
from daemon.core.event_types import EVENT_TYPES

TYPE_FIELD = "type."
PATH_FIELD, VALUE_FIELD = "path.", "value."
AS_JSON = "json"
KNOWN_TYPES = [each.name for each in EVENT_TYPES]
# Members of a filter that are lists of ids or names, each a field of its own.
LISTS = ("workspaces", "campaign_ids")
QUOTED_OR_PLAIN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,]*)\s*(?:,|$)')

Form = Mapping[str, str]


def event_types(form: Form) -> list[str] | None:
    """
    The checked types, and those written in the field for others; None for all.

    Raises Problem (422) if only some are wanted, and none is chosen.
    """
    if form.get("which") == "all":
        return None
    types = chosen_types(form)
    if not types and form.get("which") == "some":
        sentence = "choose at least one type, or all"
        raise Problem(422, sentence, field_errors=[FieldError("#/eventTypes", sentence)])
    return types or None


def chosen_types(form: Form) -> list[str]:
    """The event types that are checked, and those that are written in the field for others."""
    checked = [name.removeprefix(TYPE_FIELD) for name in form if name.startswith(TYPE_FIELD)]
    others = form.get("otherTypes", "").replace(",", " ").split()
    return [*checked, *(each for each in others if each not in checked)]


def event_filters(form: Form) -> object:
    """The filter, from the view that the form shows; None if it filters nothing."""
    if form.get("filterView") == AS_JSON:
        return json_value(form.get("eventFilters", ""), "eventFilters")
    found: dict[str, object] = {}
    for name in LISTS:
        if values := values_in(form.get(name, "")):
            found[name] = values
    conditions = {path: _single(values) for path, values in _conditions(form)}
    return {**found, **({"filters": conditions} if conditions else {})} or None


def type_fields(types: Iterable[str] | None) -> dict[str, str]:
    """The fields of stored types."""
    if not types:
        return {"which": "all"}
    known = {f"{TYPE_FIELD}{each}": ON for each in types if each in KNOWN_TYPES}
    others = " ".join(each for each in types if each not in KNOWN_TYPES)
    return {"which": "some", "otherTypes": others, **known}


def filter_fields(filters: object) -> dict[str, str]:
    """The fields of a stored filter; its JSON where fields cannot stand for it."""
    if filters is None:
        return {}
    conditions = filters.get("filters", {}) if isinstance(filters, dict) else None
    if (
        not isinstance(filters, dict)
        or not isinstance(conditions, dict)
        or not filters.keys() <= {*LISTS, "filters"}
    ):
        return json_fields(filters)
    fields = {name: text_of(filters[name]) for name in LISTS if name in filters}
    for place, (path, values) in enumerate(conditions.items()):
        fields[f"{PATH_FIELD}{place}"] = path
        fields[f"{VALUE_FIELD}{place}"] = text_of(values)
    plain = {**filters, "filters": {path: _single(each) for path, each in conditions.items()}}
    wanted = plain if conditions else {**filters}
    return fields if _read(fields) == (wanted or None) else json_fields(filters)


def json_fields(filters: object) -> dict[str, str]:
    """The fields of a filter as JSON."""
    text = "" if filters is None else json.dumps(filters, indent=2, ensure_ascii=False)
    return {"filterView": AS_JSON, "eventFilters": text}


def without_filter(form: Form) -> dict[str, str]:
    """The other fields of the form."""
    own = {*LISTS, "filterView", "eventFilters"}
    return {
        name: value
        for name, value in form.items()
        if name not in own and not name.startswith((PATH_FIELD, VALUE_FIELD))
    }


def rows(form: Form) -> list[tuple[str, str]]:
    """The path and the value of each condition that the form has, empty ones left out."""
    found: list[tuple[str, str]] = []
    for place in count():
        path, value = form.get(f"{PATH_FIELD}{place}"), form.get(f"{VALUE_FIELD}{place}")
        if path is None and value is None:
            return found
        if path or value:
            found.append((path or "", value or ""))
    raise AssertionError


def with_row(form: Form, path: str, value: str) -> dict[str, str]:
    """The form with one more condition, or one more value of a condition that it has."""
    conditions = rows(form)
    at = next((n for n, (known, _) in enumerate(conditions) if known == path), len(conditions))
    earlier = conditions[at][1] if at < len(conditions) else ""
    values = list(dict.fromkeys([*values_in(earlier), *values_in(value)]))
    fields = {**form, f"{PATH_FIELD}{at}": path, f"{VALUE_FIELD}{at}": text_of(values)}
    for place, (known, text) in enumerate(conditions):
        if place != at:
            fields |= {f"{PATH_FIELD}{place}": known, f"{VALUE_FIELD}{place}": text}
    return fields


def values_in(text: str) -> list[object]:
    """
    The values that a field holds, with commas between them.

    `true`, `7` and `null` are what they are in JSON; quotation marks make texts of them.
    """
    found: list[object] = []
    end = 0
    while end < len(text) and (match := QUOTED_OR_PLAIN.match(text, end)):
        written, end = match[1].strip(), max(match.end(), end + 1)
        if written:
            found.append(_value(written))
    return found


def text_of(values: object) -> str:
    """A value or a list of values as a field holds them."""
    listed = values if isinstance(values, list) else [values]
    return ", ".join(_written(each) for each in listed)


def json_value(text: str, member: str) -> object:
    """
    The value of a field that holds JSON; None if it is empty.

    Raises Problem (422) for text that is no JSON.
    """
    if not text.strip():
        return None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        sentence = f"is not valid JSON: {error}"
        raise Problem(422, sentence, field_errors=[FieldError(f"#/{member}", sentence)]) from None


def _conditions(form: Form) -> list[tuple[str, list[object]]]:
    """Raises Problem (422) for a condition without a path or without a value."""
    found = []
    for path, text in rows(form):
        values = values_in(text)
        if not path.strip() or not values:
            missing = "a field" if values else f"a value for {path.strip()}"
            sentence = f"a condition needs {missing}"
            raise Problem(422, sentence, field_errors=[FieldError("#/eventFilters", sentence)])
        found.append((path.strip(), values))
    return found


def _single(values: object) -> object:
    """A list of one value means the same as the value."""
    return values[0] if isinstance(values, list) and len(values) == 1 else values


def _read(fields: Form) -> object:
    """The filter that fields stand for; None if they stand for none."""
    try:
        return event_filters(fields)
    except Problem:
        return None


def _value(written: str) -> object:
    try:
        value: object = json.loads(written, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return written
    return written if isinstance(value, dict | list) else value


def _written(value: object) -> str:
    if isinstance(value, str) and values_in(value) == [value]:
        return value
    return json.dumps(value, ensure_ascii=False)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
