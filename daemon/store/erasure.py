"""
The parts that every erasure shares; events, deliveries and webhooks have a module each.

An erasure proceeds by pages, in bounded transactions. An event is deleted last, after its inbox
entries and all of its deliveries, so that an interrupted erasure finds the same rows again. No
statement waits for a lock: locked rows are skipped and counted, and the caller returns to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from daemon.core.model.erasure import ErasureCounts
from daemon.core.model.ids import TenantId
from daemon.store import tenants
from daemon.store.session import Connection

NIL = UUID(int=0)

# Whether `data` identifies the contact $1 in any of the fields $2, which are SQL/JSON paths.
IDENTIFIES_CONTACT = """
    EXISTS (
        SELECT FROM unnest($2::text[]::jsonpath[]) AS path,
                    jsonb_path_query(data, path) AS found,
                    -- What identifies a contact is short. An object may print without end, and a
                    -- number 131,072 digits.
                    LATERAL (SELECT CASE
                        WHEN jsonb_typeof(found) = 'string' THEN found #>> '{}'::text[]
                        WHEN jsonb_typeof(found) <> 'number' THEN NULL
                        WHEN abs(found::numeric) < 1e40 AND scale(found::numeric) < 40
                        THEN found #>> '{}'::text[] END) AS text (printed),
                    lower(printed) AS lowered
         WHERE printed = $1
            -- Addresses match in any case, and in the form `Sarah <sarah@example.com>`.
            OR strpos($1, '@') > 0 AND (lowered = lower($1)
               OR right(lowered, length(lower($1)) + 2) = '<' || lower($1) || '>'))
"""


@dataclass(frozen=True, slots=True)
class ErasureStep:
    """The rows that one transaction erased, and how many of the requested ones `remain`."""

    erased: ErasureCounts
    remaining: int


@dataclass(frozen=True, slots=True)
class TextCursor:
    """The row that a page follows; `at` is PostgreSQL's text, None among rows without a time."""

    at: str | None = "-infinity"
    id: UUID = NIL


def cursor_after(rows: Sequence[Any], cursor: TextCursor) -> TextCursor:
    """The cursor of the next page; `cursor` itself when the page is empty."""
    return TextCursor(rows[-1]["at"], rows[-1]["id"]) if rows else cursor


def counts_of_deliveries(rows: Sequence[Any]) -> ErasureCounts:
    """The counts for deliveries, from rows that have `status`."""
    pending = sum(row["status"] == "pending_retry" for row in rows)
    return ErasureCounts(deliveries=len(rows), pending=pending)


HAS_DATA = """
    SELECT EXISTS (SELECT FROM webhooks WHERE tenant_id = $1)
        OR EXISTS (SELECT FROM webhook_events WHERE tenant_id = $1)
        OR EXISTS (SELECT FROM webhook_history WHERE tenant_id = $1)
"""


async def tenant_exists(db: Connection, tenant_id: TenantId) -> bool:
    """Whether the tenant, or data of it, is stored: the application may have deleted its row."""
    has_data = await db.fetchval(HAS_DATA, tenant_id)
    # An object that cannot be looked up may exist.
    return bool(has_data) or await tenants.exists(db, tenant_id) is not False


ONE_MINUTE_AGO = "SELECT (now() - interval '1 minute')::text"


async def one_minute_ago(db: Connection) -> str:
    """PostgreSQL's time, less a margin for rows of transactions that are about to commit."""
    return str(await db.fetchval(ONE_MINUTE_AGO))
