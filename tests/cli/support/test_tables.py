"""Tables fit the terminal: what has no room on a line stands below, indented, and is wrapped."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cli.support.tables import fitted_table, table

ROWS = [["ID", "STATE", "REASON"], ["1234567890", "ok", "It was delivered at once."]]
CELLS = st.text(string.ascii_letters + " ", max_size=60)


def test_a_table_that_fits_has_one_line_for_each_row() -> None:
    lines = fitted_table(ROWS, 44)

    assert lines == table(ROWS)
    assert max(map(len, lines)) == 44


def test_columns_without_room_stand_below_in_columns_of_their_own_and_long_text_is_wrapped() -> (
    None
):
    lines = fitted_table(ROWS, 20)

    assert lines == [
        *("ID          STATE", "    REASON"),
        *("1234567890  ok", "    It was delivered", "    at once."),
    ]


def test_a_pipe_gets_one_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["x" * 100, "y" * 100]]

    assert fitted_table(rows) == table(rows)


def test_an_empty_table_has_no_lines() -> None:
    assert fitted_table([], 80) == []


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1), st.integers(10, 100))
def test_no_line_is_too_long_and_no_text_is_lost(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    lines = fitted_table(rows, width)

    assert all(len(line) <= width for line in lines)
    wanted = "".join("".join(row) for row in rows).replace(" ", "")
    assert "".join(lines).replace(" ", "") == wanted
