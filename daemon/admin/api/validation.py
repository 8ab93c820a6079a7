"""
Validation errors of pydantic, translated into problems with plain sentences.

No sentence quotes the invalid value, which may be a secret.
"""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from daemon.admin.api.problems import FieldError, Problem

MAX_FIELD_ERRORS = 20
MAX_NAME_LENGTH = 80  # of a member's name, in a pointer and for a suggestion

SENTENCES = {
    "missing": "is missing",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "float_type": "must be a number",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    # Of strings and lists: pydantic reports a string behind a validator function as `too_long`.
    "too_short": "is too short: the minimum length is {min_length}",
    "string_too_short": "is too short: the minimum length is {min_length}",
    "too_long": "is too long: the maximum length is {max_length}",
    "string_too_long": "is too long: the maximum length is {max_length}",
}


@dataclass(frozen=True, slots=True)
class _Finding:
    place: str
    detail: str
    has_suggestion: bool = False


def body_problem(invalid: ValidationError, model: type[BaseModel], body: object) -> Problem:
    """Describe an invalid body; each error has a JSON pointer into it."""
    return _problem(_findings_in_body(invalid, model, body))


def query_problem(invalid: ValidationError) -> Problem:
    """Describe an invalid query; each error has the name of a parameter."""
    return _problem(_findings_in_query(invalid))


def _findings_in_body(
    invalid: ValidationError, model: type[BaseModel], body: object
) -> Iterator[_Finding]:
    for error in invalid.errors(include_url=False, include_input=False):
        place = _pointer(error["loc"], body)
        if error["type"] != "extra_forbidden":
            yield _Finding(place, _sentence(error))
        elif (similar := _similar_member(str(error["loc"][-1]), model)) is None:
            yield _Finding(place, "is not a known member")
        else:
            yield _Finding(
                place, f"is not a known member; did you mean {similar}?", has_suggestion=True
            )


def _findings_in_query(invalid: ValidationError) -> Iterator[_Finding]:
    for error in invalid.errors(include_url=False, include_input=False):
        place = str(error["loc"][0]) if error["loc"] else "query"
        unknown = error["type"] == "extra_forbidden"
        yield _Finding(place, "is not a known parameter" if unknown else _sentence(error))


def _problem(findings: Iterable[_Finding]) -> Problem:
    first_per_place: dict[str, _Finding] = {}
    for finding in findings:
        first_per_place.setdefault(finding.place, finding)
    # A misspelt member explains the missing one, so it comes first.
    found = sorted(first_per_place.values(), key=lambda each: not each.has_suggestion)
    errors = [FieldError(each.place, each.detail) for each in found[:MAX_FIELD_ERRORS]]
    name = errors[0].place.removeprefix("#/")
    sentence = errors[0].detail if name == "#" else f"{name}: {errors[0].detail}"
    return Problem(422, sentence, field_errors=errors)


def _sentence(error: Any) -> str:
    sentence = SENTENCES.get(error["type"])
    if sentence is not None:
        return sentence.format(**error.get("ctx", {}))
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return (message[:1].lower() + message[1:]).replace("should be", "must be", 1)


def _similar_member(name: str, model: type[BaseModel]) -> str | None:
    if len(name) > MAX_NAME_LENGTH:
        return None
    similar = difflib.get_close_matches(name, _members(model) - {name}, n=1, cutoff=0.7)
    return similar[0] if similar else None


@cache
def _members(model: type[BaseModel]) -> frozenset[str]:
    """The names of the model's members and of the members of its nested models."""
    return frozenset(_names_in(model.model_json_schema()))


def _names_in(schema: dict[str, Any]) -> Iterator[str]:
    yield from schema.get("properties", ())
    for nested in schema.get("$defs", {}).values():
        yield from _names_in(nested)


def _pointer(path: tuple[Any, ...], body: object) -> str:
    """
    A JSON pointer (RFC 6901, as a URI fragment) to the member that is invalid or missing.

    For a union, pydantic's path contains the type that was tried; the pointer leaves that out.
    A long name is shortened.
    """
    parts: list[str] = []
    for part in path:
        if isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        elif isinstance(body, dict) and (part in body or part == path[-1]):
            body = body.get(part)
        else:
            continue
        parts.append(_shortened(str(part)).replace("~", "~0").replace("/", "~1"))
    return "#/" + "/".join(parts) if parts else "#"


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME_LENGTH else f"{name[:MAX_NAME_LENGTH]}…"
