"""A webhook with a receiver, and a folder for the embedded PostgreSQL of a command."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.application import Application
from tests.support.postgres import folder_for_postgres
from tests.support.receiver import Receiver


@pytest.fixture
async def webhook(app: Application, receiver: Receiver) -> UUID:
    return await app.webhook(await app.tenant(), receiver.url + "/hook", types=["email.*"])


@pytest.fixture
def embedded_data() -> Iterator[Path]:
    """The path of an embedded PostgreSQL's data folder, which does not exist yet."""
    with folder_for_postgres() as folder:
        yield folder / "postgres"
