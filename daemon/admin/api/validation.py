"""
What is wrong with a request, in sentences for people: from pydantic's findings to a Problem.

No sentence holds what was given: that may be a secret.
"""

import difflib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from daemon.admin.api.problems import Mistake, Problem

MOST_TOLD = 20
LONGEST_NAME = 80  # of a member, as it is told or as another one may be meant by it

SENTENCES = {
    "missing": "is missing",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "is too short: it must have at least {min_length}",
    "string_too_short": "is too short: it must have at least {min_length}",
    "too_long": "is too long: it may have at most {max_length}",
    "string_too_long": "is too long: it may have at most {max_length}",
}


def in_body(invalid: ValidationError, model: type[BaseModel], body: object) -> Problem:
    """For a body; each place is a JSON pointer into it."""
    return _told(invalid, lambda path: _pointer(path, body), lambda name: _meant(name, model))


def in_query(invalid: ValidationError) -> Problem:
    """For a query; each place is a parameter's name."""
    return _told(invalid, lambda path: str(path[0]) if path else "query", lambda _: "")


def _told(
    invalid: ValidationError, place: Callable[[tuple[Any, ...]], str], meant: Callable[[str], str]
) -> Problem:
    found: dict[str, tuple[bool, Mistake]] = {}
    for error in invalid.errors(include_url=False, include_input=False):
        where, hint = place(error["loc"]), ""
        if error["type"] == "extra_forbidden":
            hint = meant(str(error["loc"][-1]))
            sentence = f"is not known here{hint}"
        else:
            sentence = _sentence(error)
        found.setdefault(where, (not hint, Mistake(where, sentence)))
    # What was perhaps only misspelt explains what is missing.
    mistakes = [mistake for _, mistake in sorted(found.values(), key=lambda each: each[0])]
    del mistakes[MOST_TOLD:]
    first = mistakes[0]
    named = first.place.removeprefix("#/")
    sentence = first.detail if named == "#" else f"{named}: {first.detail}"
    return Problem(422, sentence, mistakes=mistakes)


def _sentence(error: Any) -> str:
    known = SENTENCES.get(error["type"])
    if known is not None:
        return known.format(**error.get("ctx", {}))
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return (message[:1].lower() + message[1:]).replace("should be", "must be", 1)


def _meant(name: str, model: type[BaseModel]) -> str:
    if len(name) > LONGEST_NAME:
        return ""
    near = difflib.get_close_matches(name, _members(model) - {name}, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


@cache
def _members(model: type[BaseModel]) -> frozenset[str]:
    """The names of a shape's members, and of those of the shapes within."""
    return frozenset(_names_in(model.model_json_schema()))


def _names_in(schema: dict[str, Any]) -> Iterator[str]:
    yield from schema.get("properties", ())
    for each in schema.get("$defs", {}).values():
        yield from _names_in(each)


def _named(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def _pointer(path: tuple[Any, ...], body: object) -> str:
    """
    RFC 6901, as a URI fragment, to what is there or is missing.

    Where a member may have several shapes, pydantic's path names the shape too; that is left out.
    Of a name that nobody would read the beginning must do.
    """
    parts: list[str] = []
    for part in path:
        if isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        elif isinstance(body, dict) and (part in body or part == path[-1]):
            body = body.get(part)
        else:
            continue
        parts.append(_named(str(part)).replace("~", "~0").replace("/", "~1"))
    return "#/" + "/".join(parts) if parts else "#"
