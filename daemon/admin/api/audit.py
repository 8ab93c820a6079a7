"""
The audit of the API: one record, and one line in the log, for each change and refused request.

A record names the caller, the operation and the object. It holds no body, secret or token.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from uuid import UUID

import structlog
from aiohttp import web

from daemon.admin.api.auth import CALLER, Caller
from daemon.admin.api.change_quota import ChangeQuota
from daemon.admin.api.refused_requests import RefusedRequests
from daemon.core.model.audit import UNKNOWN_ACTOR, AuditRecord
from daemon.core.model.ids import TenantId
from daemon.store import audit
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

WINDOW_SECONDS = 60.0

OnWrite = Callable[[Connection, AuditRecord], Awaitable[None]]


class RequestAudit:
    """
    The record of one request, which its handler may complete and write.

    Handlers write it in the transaction of the change; what they did not write is written after
    the response is known. `on_write` is called in that transaction too, with the record.
    """

    def __init__(self, record: AuditRecord) -> None:
        self.record = record
        self.is_written = False
        self.on_write: OnWrite | None = None

    async def write(
        self, db: Connection, *, created: UUID | None = None, tenant_id: TenantId | None = None
    ) -> None:
        """
        Insert the record in the transaction of the change, before its end.

        `created` is the id of the object that the operation makes; `tenant_id` is the tenant that
        it concerns, where the request does not name one.
        """
        self.record = replace(
            self.record,
            object_id=self.record.object_id or created,
            tenant_id=tenant_id or self.record.tenant_id,
        )
        await audit.insert(db, self.record)
        if self.on_write is not None:
            await self.on_write(db, self.record)
        self.is_written = True


class AuditLog:
    """
    Writes records: of changes at once, of refused requests a bounded number per minute and day.

    `peer_of` names the client of a request by its address. `changes` bounds the changes.
    """

    def __init__(
        self,
        database: Database,
        *,
        peer_of: Callable[[web.Request], str | None],
        changes: ChangeQuota,
        window_seconds: float = WINDOW_SECONDS,
    ) -> None:
        self.changes = changes
        self._database = database
        self._peer_of = peer_of
        self._window_seconds = window_seconds
        self._refused = RefusedRequests()
        self._window: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()

    def record_of(self, request: web.Request, action: str) -> AuditRecord:
        """The record of a request whose caller may be unknown; without an object or a status."""
        caller: Caller | None = request.get(CALLER)
        return AuditRecord(
            action=action,
            actor=UNKNOWN_ACTOR if caller is None else caller.actor,
            peer=self._peer_of(request),
            tenant_id=None if caller is None else caller.tenant_id,
        )

    async def finish(self, request: RequestAudit, *, status: int) -> None:
        """Write the record of a change that was made, unless its handler did."""
        self.changes.note(request.record)
        if request.is_written:
            _log(request.record)
            return
        record = replace(request.record, status=status)
        # A client that disconnects now cancels the request, but not this.
        await asyncio.shield(self._write_in_background(record))

    def refuse(self, record: AuditRecord) -> None:
        """
        Record a refused or failed request, in the background.

        Those that are alike are counted for a minute, and recorded together.
        """
        if (first := self._refused.add(record, now=time.monotonic())) is not None:
            self._write_in_background(first)
        self._begin_window()

    async def close(self) -> None:
        """Write what was counted, and wait for what is being written."""
        if self._window is not None:
            self._window.cancel()
        for record in self._refused.take_all():
            self._write_in_background(record)
        await asyncio.gather(*self._writing)

    def _begin_window(self) -> None:
        if self._window is None:
            self._window = asyncio.create_task(self._end_window())

    async def _end_window(self) -> None:
        await asyncio.sleep(self._window_seconds)
        self._window = None
        for record in self._refused.take(now=time.monotonic()):
            self._write_in_background(record)
        if self._refused:
            self._begin_window()

    def _write_in_background(self, record: AuditRecord) -> asyncio.Task[None]:
        task = asyncio.create_task(self._write(record))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def _write(self, record: AuditRecord) -> None:
        """A record that cannot be stored is an error in the log, with all that it says."""
        try:
            async with self._database.transaction() as db:
                await audit.insert(db, record)
        except Exception:
            log.exception("audit.not_stored", **_fields(record))
        else:
            _log(record)


def _log(record: AuditRecord) -> None:
    log.info("audit.recorded", **_fields(record))


def _fields(record: AuditRecord) -> dict[str, object]:
    fields = asdict(record)
    actor = fields.pop("actor")
    return {
        **{name: value for name, value in fields.items() if value is not None},
        "actor_kind": actor["kind"],
        "actor": actor["name"],
    }
