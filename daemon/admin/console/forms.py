"""
Forms: the fields that people fill in, and errors beside them.

The rule: a form is judged by the API alone; what it refuses is shown beside the field, and the
input is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.admin.api.problems import FieldError, Problem

ON = "on"


@dataclass(frozen=True, slots=True)
class FormErrors:
    """
    The sentence about the whole form, and those about its fields by the names of the API.

    `places` has the sentences by their places in the body, such as `customHeaders/X-Key`.
    """

    sentence: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    def of(self, member: str) -> str | None:
        """The sentence about a field; None if it is right."""
        return self.fields.get(member)

    def at(self, place: str) -> str | None:
        """The sentence about a place; None if it is right."""
        return self.places.get(place)


def errors_of(problem: Problem, *, shown: frozenset[str]) -> FormErrors:
    """
    Divide a problem among the fields that the form has, which are `shown`.

    An error about none of them is about the whole form. Raises the problem if it is not about the
    input.
    """
    if problem.status not in {400, 409, 422, 429}:
        raise problem
    by_member: dict[str, str] = {}
    for each in problem.field_errors:
        by_member.setdefault(_place(each).partition("/")[0], each.detail)
    fields = {name: text for name, text in by_member.items() if name in shown}
    places = {_place(each): each.detail for each in problem.field_errors}
    sentence = None if len(fields) == len(by_member) > 0 else problem.error
    return FormErrors(sentence, fields, places)


def text_member(form: Mapping[str, str], name: str) -> str | None:
    """The text of a field; None if it is empty."""
    return form.get(name, "").strip() or None


def _place(error: FieldError) -> str:
    return error.place.removeprefix("#/").replace("~1", "/").replace("~0", "~")
