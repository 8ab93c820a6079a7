"""
Forms: the fields that people fill in, as members of the API's bodies, and errors beside them.

The rule: a form is judged by the API alone; what it refuses is shown beside the field, and the
input is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from daemon.admin.api.problems import FieldError, Problem

TYPE_FIELD = "type."
ON = "on"


@dataclass(frozen=True, slots=True)
class FormErrors:
    """The sentence about the whole form, and those about its fields by the names of the API."""

    sentence: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def of(self, member: str) -> str | None:
        """The sentence about a field; None if it is right."""
        return self.fields.get(member)


def errors_of(problem: Problem, *, shown: frozenset[str]) -> FormErrors:
    """
    Divide a problem among the fields that the form has, which are `shown`.

    What is about none of them is about the whole form. Raises the problem if it is not about the
    input.
    """
    if problem.status not in {400, 409, 422, 429}:
        raise problem
    by_member: dict[str, str] = {}
    for each in problem.field_errors:
        by_member.setdefault(_member(each), each.detail)
    fields = {name: text for name, text in by_member.items() if name in shown}
    return FormErrors(None if len(fields) == len(by_member) > 0 else problem.error, fields)


def chosen_types(form: Mapping[str, str]) -> list[str]:
    """The event types that are checked, and those that are written in the field for others."""
    checked = [name.removeprefix(TYPE_FIELD) for name in form if name.startswith(TYPE_FIELD)]
    others = form.get("otherTypes", "").replace(",", " ").split()
    return [*checked, *(each for each in others if each not in checked)]


def json_member(text: str, member: str) -> object:
    """
    The value of a field that holds JSON; None if it is empty.

    Raises Problem (422) for text that is no JSON.
    """
    if not text.strip():
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        sentence = f"is not valid JSON: {error}"
        raise Problem(422, sentence, field_errors=[FieldError(f"#/{member}", sentence)]) from None


def text_member(form: Mapping[str, str], name: str) -> str | None:
    """The text of a field; None if it is empty."""
    return form.get(name, "").strip() or None


def _member(error: FieldError) -> str:
    return error.place.removeprefix("#/").partition("/")[0]
