"""
The rows of `webhook_deliveries` when it is taken over: what is pending there is history.

The rule: rows are written page by page of the table's file, so no other session waits for locks.
"""

from dataclasses import dataclass

from daemon.store import migrations
from daemon.store.adoption_tables import DELIVERIES
from daemon.store.session import Connection

PAGE_BLOCKS = 1_000
REASON = "not sent: it was pending before webhookd took over the table"


@dataclass(frozen=True, slots=True)
class Settled:
    """How many rows were given a first attempt's number or a time, and how many became failed."""

    completed: int = 0
    failed: int = 0

    def __add__(self, other: "Settled") -> "Settled":
        return Settled(self.completed + other.completed, self.failed + other.failed)


SETTLE = """
    WITH settled AS (
        UPDATE webhook_deliveries
           SET attempt_number = COALESCE(attempt_number, 1),
               status = CASE WHEN status::text = 'pending_retry' AND NOT $1::boolean
                             THEN 'failed' ELSE status END,
               error_message = CASE WHEN status::text = 'pending_retry' AND NOT $1::boolean
                                    THEN $2::text ELSE error_message END,
               next_retry_at = CASE WHEN status::text = 'pending_retry'
                                    THEN CASE WHEN $1::boolean
                                              THEN COALESCE(next_retry_at, now()) END
                                    ELSE next_retry_at END
         WHERE {rows}
        RETURNING status::text = 'failed' AND error_message = $2::text AS is_failed
    )
    SELECT pg_catalog.count(*) FILTER (WHERE NOT COALESCE(is_failed, false)) AS completed,
           pg_catalog.count(*) FILTER (WHERE is_failed) AS failed
      FROM settled
"""
PENDING = "status::text = 'pending_retry' AND (NOT $1::boolean OR next_retry_at IS NULL)"
SETTLE_PAGE = SETTLE.format(
    rows=f"ctid >= $3::tid AND ctid < $4::tid AND (attempt_number IS NULL OR {PENDING})"
)
SETTLE_REST = SETTLE.format(rows=PENDING)

BLOCKS = """
    SELECT pg_catalog.pg_relation_size(to_regclass('webhook_deliveries'::text)::oid)
           / current_setting('block_size'::text)::bigint
"""


async def settle(connection: Connection, *, send_pending: bool) -> Settled:
    """Settle what is there now; `send_pending` keeps pending rows pending."""
    settled = Settled()
    block = 0

    async def settle_page() -> None:
        nonlocal settled
        page = (block, 0), (block + PAGE_BLOCKS, 0)
        row = await connection.fetchrow(SETTLE_PAGE, send_pending, REASON, *page)
        settled += Settled(**row)

    blocks = await connection.fetchval(BLOCKS)
    while block < blocks:
        await migrations.with_brief_locks(connection, settle_page, name=DELIVERIES)
        block += PAGE_BLOCKS
    return settled


# The planner may know nothing yet of the rows that the index finds.
LOCK = """
    SET LOCAL enable_seqscan = off;
    LOCK TABLE webhook_deliveries IN SHARE ROW EXCLUSIVE MODE
"""


async def settle_rest(connection: Connection, *, send_pending: bool) -> Settled:
    """Settle what has come since, and keep more from coming until the transaction ends."""
    await connection.execute(LOCK)
    return Settled(**await connection.fetchrow(SETTLE_REST, send_pending, REASON))
