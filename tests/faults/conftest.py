"""Where a scenario may put its files: a folder that PostgreSQL's own user can enter, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import roomy_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with roomy_folder() as it:
        yield it
