"""
An event's data as matchers see them, however large fan-out compares them.

The rule: of large data, which take thirty times their size once they are parsed, one event's at a
time are in memory, and a thread parses them. Tenants take turns: each has one large event in the
line at most.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from daemon.core.errors import MemoryBusyError
from daemon.core.matching.event_data import EventData
from daemon.core.model.ids import EventId, TenantId
from daemon.core.wire.body_size import MATCHED_BYTES
from daemon.core.wire.json_value import parse_json, parse_matched
from daemon.runtime.offload import Offload
from daemon.store import stored_events
from daemon.store.payload_size import event_data, measure_event
from daemon.store.session import Connection


class EventDataReader:
    """Reads the data of one event at a time."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload
        self._large = asyncio.Lock()
        self._in_line: set[TenantId] = set()

    @asynccontextmanager
    async def data_of(
        self, db: Connection, tenant_id: TenantId, event_id: EventId
    ) -> AsyncIterator[EventData | None]:
        """
        Lend the data of an event for the block; None if they are larger than fan-out compares.

        Raises MemoryBusyError while another large event of the tenant is in the line.
        """
        texts = await stored_events.quick_data(db, [event_id])
        if event_id in texts:
            yield EventData(parse_json(texts[event_id]))
            return
        size = await measure_event(db, event_id, most_bytes=MATCHED_BYTES)
        if size > MATCHED_BYTES:
            yield None
            return
        if tenant_id in self._in_line:
            raise MemoryBusyError("the data of another large event are being compared: try again")
        self._in_line.add(tenant_id)
        try:
            async with self._large:
                _, text = await event_data(db, event_id, most_bytes=MATCHED_BYTES)
                parse = partial(parse_matched, text)
                yield EventData(
                    await self._offload.run(parse, size=len(text or ""), owner=tenant_id)
                )
        finally:
            self._in_line.discard(tenant_id)
