"""docs/errors.md explains every sentence that customers read when something fails."""

import pytest

from tests.docs.errors import DOCUMENT, report
from tests.docs.sentences import Module, stale_rules


def sentences(source: str, path: str = "daemon/admin/example.py") -> list[str]:
    return [each.text for each in Module(path, source).sentences()]


def test_the_document_has_every_sentence_of_the_code_and_no_other() -> None:
    differences = report()

    assert not differences, (
        f"docs/errors.md is out of date:\n\n{differences}\n\n(python -m tests.docs.errors)"
    )


def test_every_sentence_has_a_cause_and_a_remedy() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]

    unexplained = [
        row for row in rows if not all(cell.strip(" …") for cell in row.split("|")[1:-1])
    ]

    assert unexplained == []


def test_no_sentence_is_explained_twice() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    first_cells = [row.split(" | ")[0] for row in rows]

    assert [cell for cell in set(first_cells) if first_cells.count(cell) > 1] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('Problem(404, "it is gone")', ["it is gone"]),
        ('Problem(404, f"no such {what} here")', ["no such … here"]),
        ('Problem(404, "it is " "gone", headers={"Retry-After": "5"})', ["it is gone"]),
        ('Problem(404, "it is gone" if old else "not yet there")', ["it is gone", "not yet there"]),
        ('Problem(error.status, error.reason or "it is gone")', ["it is gone"]),
        ('Problem(422, f"{member}: {reason}")', []),
        ('GONE = "is gone"\nProblem(404, GONE)', ["is gone"]),
        ('GONE = "it is gone for ever"', ["it is gone for ever"]),
        ('WORDS = {"gone": "it is gone"}', []),
        ('Refusal(reason="it is gone")', ["it is gone"]),
        ('raise MalformedFilterError(": it is gone")', ["event_filters: it is gone"]),
        ('open("it is gone")', []),
    ],
)
def test_a_sentence_is_found_where_it_is_passed_on(source: str, expected: list[str]) -> None:
    assert sentences(source) == expected


def test_a_local_variable_stands_for_each_sentence_that_it_may_hold() -> None:
    source = """
def failure(error):
    match error:
        case 1:
            message = "one is wrong"
        case _:
            message = f"{error} is wrong"
    return Failure(kind, message)
"""

    assert sentences(source) == ["one is wrong", "… is wrong"]


def test_a_function_of_the_module_stands_for_each_sentence_that_it_returns() -> None:
    source = """
def judge(value):
    if reason := _reason(value):
        return Refusal(f"value: {reason}")

def _reason(value):
    if value:
        return f"{value} is wrong"
    return None
"""

    assert sentences(source) == ["value: … is wrong"]


def test_a_value_error_is_a_sentence_only_where_customers_send_values() -> None:
    source = 'raise ValueError("it is wrong")'

    assert sentences(source, "daemon/admin/schemas/fields.py") == ["it is wrong"]
    assert sentences(source, "daemon/core/wire/body.py") == []


def test_every_rule_of_the_extraction_matches_something() -> None:
    assert stale_rules() == []
