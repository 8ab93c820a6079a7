"""Limits on the size of the product's files and functions; `python3 dev.py figures` prints all."""

from collections.abc import Iterable

import pytest

from tests import figures
from tests.conftest import TIMING_TESTS
from tests.support import sharing

LONGEST_FILE = 400
LONGEST_FUNCTION = 50

# What may be longer, by name, and the reason. What has become short enough must leave the list.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def longer_than(limit: int, measured: Iterable[figures.File | figures.Function]) -> set[str]:
    return {each.name for each in measured if each.lines > limit}


def test_no_file_is_longer_than_400_lines_save_the_exceptions_that_are_still_needed() -> None:
    assert longer_than(LONGEST_FILE, figures.files()) == LONG_FILES.keys()


def test_no_function_is_longer_than_50_lines_save_the_exceptions_that_are_still_needed() -> None:
    assert longer_than(LONGEST_FUNCTION, figures.functions()) == LONG_FUNCTIONS.keys()


def test_the_report_names_all_figures_and_the_ten_worst_of_each() -> None:
    lines = list(figures.report())

    headings = [line.split(":")[0] for line in lines if not line.startswith("  ")]
    assert headings == [
        "files",
        "functions",
        "public functions with a docstring",
        "public functions that raise and say so",
    ]
    assert lines[11].startswith("functions: ")


SOURCE = '''
class Shop:
    def open(self):
        """Raises ShopError when it is closed."""
        def inner():
            return 1
        if inner():
            raise ShopError

    def close(self):
        def inner():
            raise ValueError
        try:
            inner()
        except OSError:
            raise

class _Till:
    @property
    def open(self): ...
'''


def test_a_function_raises_when_it_does_so_itself_and_is_public_with_all_around_it() -> None:
    found = {each.name: each for each in figures.functions_of(SOURCE, "shop.py")}

    assert list(found) == [
        "shop.py::Shop.open",
        "shop.py::Shop.open.inner",
        "shop.py::Shop.close",
        "shop.py::Shop.close.inner",
        "shop.py::_Till.open",
    ]
    assert [name for name, each in found.items() if each.is_public] == [
        "shop.py::Shop.open",
        "shop.py::Shop.close",
    ]
    assert found["shop.py::Shop.open"].raises
    assert found["shop.py::Shop.open"].says_what_it_raises
    assert not found["shop.py::Shop.close"].raises
    assert found["shop.py::_Till.open"].lines == 2


@pytest.mark.parametrize("name", [*sharing.LONGEST_FIRST, *(f"tests/{n}" for n in TIMING_TESTS)])
def test_each_test_file_that_runs_first_or_alone_exists(name: str) -> None:
    assert (figures.ROOT / name).exists()
