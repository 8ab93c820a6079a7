import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import embedded
from tests.support.postgres import HASTE, roomy_folder


@pytest.fixture(scope="package")
def template() -> Iterator[Path]:
    """Create a data directory once, as initdb is slow; `data` is a copy of it."""
    with roomy_folder() as directory, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        data = directory / "postgres"
        first = runner.run(embedded.start(data, settings=HASTE))
        runner.run(first.stop())
        yield data


@pytest.fixture
def directory() -> Iterator[Path]:
    with roomy_folder() as folder:
        yield folder


@pytest.fixture
def data(template: Path, directory: Path) -> Path:
    """Return a data directory as a stopped server has left it."""
    subprocess.run(["cp", "-a", template, directory / "postgres"], check=True)
    return directory / "postgres"
