"""A daemon in the test's process with every optional part of it turned on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from daemon.service import Service
from tests.support.daemons import serving


@asynccontextmanager
async def serving_everything(database: str) -> AsyncIterator[Service]:
    """Run a daemon with API, mails, sealed secrets and an installation's name."""
    async with serving(
        database,
        admin={"tokens": ["operator-" * 5]},
        installation={"name": "test"},
        notifications={
            "smtp_url": "smtp://127.0.0.1:9",
            "from": "hooks@example.com",
            "to": "ops@example.com",
        },
        security={"master_keys": ["key-" * 10]},
    ) as service:
        yield service
