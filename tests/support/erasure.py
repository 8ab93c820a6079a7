"""Run erasures, and build event data that identifies a contact."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.core.model.ids import TenantId
from daemon.maintenance.erasure import Erasure
from daemon.maintenance.erasure_count import ErasureCount
from daemon.store.database import Database


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, size=2)
    await database.open()
    try:
        yield database
    finally:
        await database.close(within=timedelta(seconds=2))


@asynccontextmanager
async def erasure_of(
    url: str, tenant: UUID, contact: str | None = None, **options: Any
) -> AsyncIterator[Erasure]:
    async with opened(url) as database:
        yield Erasure(database, ErasureTarget(TenantId(tenant), contact), **options)


async def erased(url: str, tenant: UUID, contact: str | None = None) -> ErasureCounts:
    """Erase, and return the counts."""
    async with erasure_of(url, tenant, contact) as erasure:
        return await erasure.erase()


async def counted(url: str, tenant: UUID, contact: str | None = None) -> ErasureCounts:
    """Count without erasing."""
    async with opened(url) as database:
        return await ErasureCount(database, ErasureTarget(TenantId(tenant), contact)).count()


def about(contact: object) -> str:
    """Return the data of an event about a contact, as JSON."""
    return orjson.dumps({"email_id": "msg_1", "contact": contact}).decode()


def data_with(field: str, value: object) -> str:
    """Return nested JSON: `{"contact": {"id": value}}` for the field `contact.id`."""
    for name in reversed(field.split(".")):
        value = {name: value}
    return orjson.dumps(value).decode()
