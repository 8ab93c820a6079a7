"""
Attempts of all webhooks of a tenant, newest first.

No index has them in this order. So they are read by windows of time, from each webhook's own index:
a window that has few rows is followed by a wider one, a full one by a narrower one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from daemon.core.errors import StatementTimeoutError
from daemon.core.model.cursor import FIRST_ID, RESOLUTION, Cursor
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.attempt_chains import EXHAUSTED
from daemon.store.attempts import COLUMNS, Attempt, attempt_entry
from daemon.store.listing import ListFilter
from daemon.store.search import FEWEST_ROWS, FoundPage, Looked, fetch_step, find_page
from daemon.store.session import Connection
from daemon.store.timestamps import EARLIEST

MOST_WEBHOOKS = 10_000
FIRST_WIDTH, WIDEST = timedelta(seconds=1), timedelta(days=400)
WIDER, NARROWER = 8, 4
MOST_REMEMBERED = 1000  # tenants

SEARCH = f"""
    WITH read AS MATERIALIZED (
        SELECT d.*
          FROM pg_catalog.unnest($1::uuid[]) AS webhook (id)
         CROSS JOIN LATERAL (
                SELECT *
                  FROM webhook_deliveries
                 WHERE webhook_id = webhook.id
                   AND attempted_at <= $2 AND (attempted_at, id) < ($2, $3)
                   AND attempted_at >= $4
                 ORDER BY attempted_at DESC, id DESC
                 LIMIT $5) AS d
         ORDER BY d.attempted_at DESC, d.id DESC
         LIMIT $5
    ), found AS MATERIALIZED (
        SELECT d.*
          FROM read AS d
         WHERE ($6::text IS NULL OR d.event_type::text = $6)
           AND ($7::text IS NULL
                OR d.status::text = CASE $7 WHEN 'exhausted' THEN 'failed' ELSE $7 END)
           AND ($8::int IS NULL OR d.status_code = $8)
           -- The daemon's own sentences are short.
           AND ($9::text IS NULL
                OR strpos(lower(left(d.error_message, 2000)), lower($9)) > 0)
           AND ($7 IS DISTINCT FROM 'exhausted' OR {EXHAUSTED})
         ORDER BY d.attempted_at DESC, d.id DESC
         LIMIT $10
    )
    SELECT {COLUMNS}, looked.count AS looked_at, looked.last_at, looked.last_id
      FROM (SELECT pg_catalog.count(*) AS count,
                   (SELECT attempted_at FROM read ORDER BY attempted_at, id LIMIT 1) AS last_at,
                   (SELECT id FROM read ORDER BY attempted_at, id LIMIT 1) AS last_id
              FROM read) AS looked
      LEFT JOIN found AS d ON true
     ORDER BY d.attempted_at DESC, d.id DESC
"""  # noqa: S608  made of constants only


class TooManyWebhooksError(Exception):
    """The tenant has more webhooks than one search reads."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """The attempts to find; `error` is part of the error's sentence, in any case."""

    listed: ListFilter
    status_code: int | None = None
    error: str | None = None


FIND_IDS = """
    SELECT id FROM webhooks WHERE tenant_id = $1 AND ($3 OR scope::text <> 'operator') LIMIT $2
"""


class WindowWidths:
    """How wide the last window of each tenant was: its next page begins with that."""

    def __init__(self) -> None:
        self.widths: dict[TenantId, timedelta] = {}

    def get(self, tenant_id: TenantId) -> timedelta:
        """The width of a tenant's first window."""
        return self.widths.get(tenant_id, FIRST_WIDTH)

    def set(self, tenant_id: TenantId, width: timedelta) -> None:
        """Note the width of a tenant's last window."""
        if len(self.widths) >= MOST_REMEMBERED:
            self.widths.clear()
        self.widths[tenant_id] = width


async def search_deliveries(
    db: Connection,
    tenant_id: TenantId,
    selected: DeliveryFilter,
    *,
    before: Cursor,
    limit: int,
    widths: WindowWidths,
    for_operators: bool = True,
) -> FoundPage[Attempt]:
    """
    Return a page of the tenant's attempts that match, newest first.

    Unless it is `for_operators`, those to operators' webhooks are left out.

    Raises TooManyWebhooksError; StatementTimeoutError where even a few rows take too long.
    """
    rows = await db.fetch(FIND_IDS, tenant_id, MOST_WEBHOOKS + 1, for_operators)
    if len(rows) > MOST_WEBHOOKS:
        raise TooManyWebhooksError
    webhook_ids = [WebhookId(row["id"]) for row in rows]
    windows = _Windows(db, webhook_ids, selected, width=widths.get(tenant_id))
    start = before
    if selected.listed.until is not None and selected.listed.until <= before.at:
        start = Cursor(selected.listed.until, FIRST_ID)
    page = await find_page(windows.look, before=start, limit=limit, cursor_of=_cursor_of)
    widths.set(tenant_id, windows.width)
    return page


FIND_CURSOR = """
    SELECT d.attempted_at
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id AND w.tenant_id = $2
                        AND ($3 OR w.scope::text <> 'operator')
     WHERE d.id = $1
"""


async def cursor_of(
    db: Connection, tenant_id: TenantId, delivery_id: UUID, *, for_operators: bool = True
) -> Cursor | None:
    """Return the cursor of the page that follows this attempt; None if there is no such attempt."""
    at = await db.fetchval(FIND_CURSOR, delivery_id, tenant_id, for_operators)
    return None if at is None else Cursor(at, delivery_id)


class _Windows:
    """The windows of time that one search reads."""

    def __init__(
        self,
        db: Connection,
        webhook_ids: Sequence[WebhookId],
        selected: DeliveryFilter,
        *,
        width: timedelta,
    ) -> None:
        self._db = db
        self._webhook_ids = webhook_ids
        self._selected = selected
        self._since = selected.listed.since or EARLIEST
        self.width = width

    async def look(self, cursor: Cursor, rows: int, wanted: int) -> Looked[Attempt] | None:
        """Read the newest rows of the window before the cursor."""
        begin = max(self._begin(cursor), self._since)
        selected = self._selected
        found = await fetch_step(
            *(self._db, SEARCH, self._webhook_ids, cursor.at, cursor.id, begin, rows),
            *(selected.listed.type, selected.listed.status, selected.status_code, selected.error),
            wanted,
        )
        if found is None:
            if rows == FEWEST_ROWS and self.width <= RESOLUTION:
                raise StatementTimeoutError("a search for deliveries takes too long")
            self.width = max(RESOLUTION, self.width / NARROWER**3)
            return None
        count = found[0]["looked_at"]
        if count == rows:
            self.width = max(RESOLUTION, self.width / NARROWER)
            following: Cursor | None = Cursor(found[0]["last_at"], found[0]["last_id"])
        else:
            self.width = min(WIDEST, self.width * (WIDER if count < rows / 4 else 1))
            following = None if begin <= self._since else Cursor(begin, FIRST_ID)
        attempts = [attempt_entry(row) for row in found if row["id"] is not None]
        return Looked(attempts, following, count)

    def _begin(self, cursor: Cursor) -> datetime:
        """Where the window begins: the first one is all of the future."""
        now = datetime.now(UTC)
        if cursor.at > now + self.width:
            return now
        if self.width >= WIDEST or cursor.at < EARLIEST + self.width:
            return EARLIEST
        return cursor.at - self.width


def _cursor_of(attempt: Attempt) -> Cursor:
    assert attempt.attempted_at is not None  # those without a time are not listed
    return Cursor(attempt.attempted_at, attempt.id)
