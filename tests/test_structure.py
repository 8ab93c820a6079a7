"""Limits on the sizes of the product's files and functions (`python3 dev.py figures`), and SQL."""

import ast
import re
from collections.abc import Iterable

import pytest

from tests import figures
from tests.conftest import TIMING_TESTS
from tests.support import sharing

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

# Exceptions by name, each with its reason. Entries that are no longer needed fail the test.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def longer_than(limit: int, measured: Iterable[figures.File | figures.Function]) -> set[str]:
    return {each.name for each in measured if each.lines > limit}


def test_only_the_listed_files_are_longer_than_400_lines() -> None:
    assert longer_than(MAX_FILE_LINES, figures.files()) == LONG_FILES.keys()


def test_only_the_listed_functions_are_longer_than_50_lines() -> None:
    assert longer_than(MAX_FUNCTION_LINES, figures.functions()) == LONG_FUNCTIONS.keys()


def test_the_report_has_every_figure_and_the_ten_longest_of_each() -> None:
    lines = list(figures.report())

    headings = [line.split(":")[0] for line in lines if not line.startswith("  ")]
    assert headings == [
        "files",
        "functions",
        "public functions with a docstring",
        "public functions that raise and document it",
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


def test_only_own_raises_count_and_only_functions_in_public_places_are_public() -> None:
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
    assert found["shop.py::Shop.open"].documents_exception
    assert not found["shop.py::Shop.close"].raises
    assert found["shop.py::_Till.open"].lines == 2


SQL = re.compile(
    r"\s*(SELECT\s|INSERT INTO\s|UPDATE\s+\w+\s+(AS\s+\w+\s+)?SET\s|DELETE FROM\s|BEGIN;|LISTEN\s"
    r"|WITH\s+\w+\s.*AS\s*(MATERIALIZED\s*)?\(|CREATE\s|ALTER\s|DROP\s)",
    re.DOTALL,
)

# Not executed: the email shows the statement with which the application resumes a webhook.
SHOWN_SQL = {figures.ROOT / "daemon/notifications/email/render.py"}


def test_sql_is_written_in_store_and_embedded_only() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in {*figures.product_files()} - SHOWN_SQL
        if not {figures.ROOT / "daemon/store", figures.ROOT / "daemon/embedded"} & {*path.parents}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]

    assert found == []


@pytest.mark.parametrize("name", [*sharing.SLOWEST_FIRST, *(f"tests/{n}" for n in TIMING_TESTS)])
def test_each_test_file_that_runs_first_or_alone_exists(name: str) -> None:
    assert (figures.ROOT / name).exists()
