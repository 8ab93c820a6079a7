import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import embedded
from tests.support.postgres import FAST_SETTINGS, folder_for_postgres


@pytest.fixture(scope="package")
def template() -> Iterator[Path]:
    """Create a data directory once, as initdb is slow; `data` is a copy of it."""
    with (
        folder_for_postgres() as directory,
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
    ):
        data = directory / "postgres"
        first = runner.run(embedded.start(data, settings=FAST_SETTINGS))
        runner.run(first.stop())
        yield data


@pytest.fixture
def directory() -> Iterator[Path]:
    with folder_for_postgres() as folder:
        yield folder


@pytest.fixture
def data(template: Path, directory: Path) -> Path:
    """Return a data directory as a stopped server leaves it."""
    subprocess.run(["cp", "-a", template, directory / "postgres"], check=True)
    return directory / "postgres"
