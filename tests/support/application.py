"""The main application of the specification, which reaches the daemon only through SQL tables."""

from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson

SECRET = "whsec_" + "ab" * 32


class Application:
    """Inserts tenants, webhooks and events as in the specification, and reads their results."""

    def __init__(self, connection: Any) -> None:
        self.db = connection

    def lend(self) -> AbstractAsyncContextManager[Any]:
        """Lend the connection, as `Database.connection` does."""
        return nullcontext(self.db)

    async def tenant(self) -> UUID:
        tenant_id = uuid4()
        await self.db.execute("INSERT INTO tenants (id) VALUES ($1)", tenant_id)
        return tenant_id

    async def webhook(
        self,
        tenant_id: UUID,
        url: str,
        *,
        types: list[str] | None = None,
        filters: Any = None,
        secret: str = SECRET,
        webhook_id: UUID | None = None,
    ) -> UUID:
        webhook_id = webhook_id or uuid4()
        await self.db.execute(
            "INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key, event_types,"
            " event_filters) VALUES ($1, $2, 'a webhook', $3, $4, $5, $6)",
            webhook_id,
            tenant_id,
            url,
            secret,
            types,
            None if filters is None else orjson.dumps(filters).decode(),
        )
        return webhook_id

    async def event(
        self,
        tenant_id: UUID,
        data: Any = None,
        *,
        type: str = "email.opened",  # noqa: A002  the event body's member
        text: str | None = None,
        created_at: datetime | None = None,
    ) -> UUID:
        """Insert an event; `text` replaces `data` by JSON text that no Python value produces."""
        event_id = uuid4()
        await self.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)"
            " VALUES ($1, $2, $3, $4, $5)",
            event_id,
            tenant_id,
            type,
            text if text is not None else orjson.dumps(data if data is not None else {}).decode(),
            created_at or datetime.now(UTC),
        )
        return event_id

    async def events(self, tenant_id: UUID, count: int) -> list[UUID]:
        """Insert `count` events in one statement; return their ids."""
        ids = [uuid4() for _ in range(count)]
        await self.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type, event_data)"
            """ SELECT id, $2, 'email.opened', '{"email_id": "msg_1"}' FROM unnest($1::uuid[]) id
            """,
            ids,
            tenant_id,
        )
        return ids

    async def deliveries(self, webhook_id: UUID) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self.db.fetch(
            "SELECT * FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY event_id,"
            " attempt_number",
            webhook_id,
        )
        return rows

    async def health(self, webhook_id: UUID) -> asyncpg.Record:
        return await self.db.fetchrow("SELECT * FROM webhooks WHERE id = $1", webhook_id)

    async def notices(self, webhook_id: UUID) -> list[str]:
        rows = await self.db.fetch(
            "SELECT kind FROM webhook_notices WHERE webhook_id = $1 ORDER BY id", webhook_id
        )
        return [row["kind"] for row in rows]
