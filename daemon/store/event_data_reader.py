"""
An event's data as matchers see them, however large fan-out compares them.

The rule: of large data, which take thirty times their size once they are parsed, one event's at a
time are in memory; one connection reads them, in the turn of the tenant that recently had the
fewest, and is given back before a thread parses them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from daemon.core.errors import MemoryBusyError
from daemon.core.matching.event_data import EventData
from daemon.core.model.ids import EventId, TenantId
from daemon.core.wire.body_size import MATCHED_BYTES
from daemon.core.wire.json_value import parse_json, parse_matched
from daemon.runtime.offload import Offload
from daemon.runtime.turns import Turns
from daemon.store import stored_events
from daemon.store.payload_size import event_data
from daemon.store.session import Connect

WAIT_SECONDS = 3.0  # of a caller, who had better ask again

SMALL_AT_ONCE = 2  # pages of events


class EventDataReader:
    """Reads the data of one large event at a time."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload
        self._turns, self._small_turns = Turns(), Turns(SMALL_AT_ONCE)
        self._in_line: set[TenantId] = set()

    @asynccontextmanager
    async def data_of(
        self, connect: Connect, tenant_id: TenantId, event_id: EventId
    ) -> AsyncIterator[EventData | None]:
        """
        Lend the data of an event for the block; None if they are larger than fan-out compares.

        The block may hold no connection. Raises MemoryBusyError while another large event of the
        tenant is in the line, or if those of others take long.
        """
        async with connect() as db:
            texts = await stored_events.quick_data(db, [event_id])
        if event_id in texts:
            yield EventData(parse_json(texts[event_id]))
            return
        if tenant_id in self._in_line:
            raise MemoryBusyError("the data of another large event are being compared: try again")
        self._in_line.add(tenant_id)
        try:
            await self._begin_soon(tenant_id)
            try:
                yield await self._read(connect, tenant_id, event_id)
            finally:
                self._turns.end(tenant_id)
        finally:
            self._in_line.discard(tenant_id)

    @asynccontextmanager
    async def small(
        self, connect: Connect, tenant_id: TenantId, event_ids: Sequence[EventId]
    ) -> AsyncIterator[dict[EventId, str | None]]:
        """Lend those of some events' data, as JSON texts, that are small, in the tenant's turn."""
        async with self._small_turns.of(tenant_id):
            async with connect() as db:
                texts = await stored_events.quick_data(db, event_ids)
            yield texts

    @asynccontextmanager
    async def large(
        self, connect: Connect, tenant_id: TenantId, event_id: EventId
    ) -> AsyncIterator[EventData | None]:
        """
        Lend large data for the block, in the tenant's turn, however long that takes to come.

        None if they are larger than fan-out compares, or if there is no such event.
        """
        async with self._turns.of(tenant_id):
            yield await self._read(connect, tenant_id, event_id)

    async def parse(self, text: str | None, *, owner: TenantId) -> object:
        """Return the data of JSON text, parsed in a thread if they are not small."""
        return await self._offload.run(
            partial(parse_matched, text), size=len(text or ""), owner=owner
        )

    async def _begin_soon(self, tenant_id: TenantId) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.begin(tenant_id)
        except TimeoutError:
            raise MemoryBusyError("other large events are being compared: try again") from None

    async def _read(
        self, connect: Connect, tenant_id: TenantId, event_id: EventId
    ) -> EventData | None:
        async with connect() as db:
            _, text = await event_data(db, event_id, most_bytes=MATCHED_BYTES)
        return None if text is None else EventData(await self.parse(text, owner=tenant_id))
