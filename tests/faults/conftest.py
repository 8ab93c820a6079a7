"""Fixtures of the fault tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import roomy_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a scenario's files that PostgreSQL's own user can enter, too."""
    with roomy_folder() as it:
        yield it
