"""Fixtures of the fault tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import folder_for_postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a scenario's files that PostgreSQL's own user can enter, too."""
    with folder_for_postgres() as it:
        yield it
