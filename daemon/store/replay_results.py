"""
Outcomes of replays: those of chains, appended when these end, and added up later.

The rule: what ends a chain locks no replay's row. So an outcome is a row of its own, in the
transaction that ends the chain: it counts once, whichever daemon dies.
"""

from uuid import UUID

from daemon.store.attempt_chains import CHAIN_REPLAYS
from daemon.store.session import Connection

# Deliveries that an erasure deletes, as `erased`: pending ones count for their replays.
COUNT_ERASED = """
    WITH erased AS (
        {delete}
     RETURNING d.status, {chain_replays}
    ), counting AS MATERIALIZED (
        SELECT pg_catalog.unnest(chain_replays) AS replay_id
          FROM erased
         WHERE status::text = 'pending_retry'
    ), counted AS (
        INSERT INTO webhook_replay_results (replay_id, delivered, failed, erased)
        SELECT replay_id, 0, 0, count(*)
          FROM counting
         WHERE replay_id IS NOT NULL
         GROUP BY replay_id
    )
    SELECT status FROM erased
"""


def counting_erased(delete: str) -> str:
    """SQL: `delete` rows `d` of webhook_deliveries, and return the status of each."""
    return COUNT_ERASED.format(delete=delete.strip(), chain_replays=CHAIN_REPLAYS.strip())


ADD_UP_NEXT = """
    WITH next AS MATERIALIZED (
        SELECT replay_id FROM webhook_replay_results WHERE replay_id > $1 ORDER BY replay_id LIMIT 1
    ), replay AS MATERIALIZED (
        SELECT r.id
          FROM next
          JOIN webhook_replays AS r ON r.id = next.replay_id
           FOR NO KEY UPDATE OF r SKIP LOCKED
    ), added AS (
        -- Those of a replay that is gone, too.
        DELETE FROM webhook_replay_results
         WHERE id = ANY (ARRAY(
                SELECT result.id
                  FROM next
                  JOIN webhook_replay_results AS result ON result.replay_id = next.replay_id
                 WHERE EXISTS (SELECT FROM replay)
                    OR NOT EXISTS (SELECT FROM webhook_replays WHERE id = next.replay_id)
                 LIMIT 5000
                   FOR UPDATE OF result SKIP LOCKED))
     RETURNING delivered, failed, erased
    ), summed AS MATERIALIZED (
        SELECT coalesce(sum(delivered), 0) AS delivered, coalesce(sum(failed), 0) AS failed,
               coalesce(sum(erased), 0) AS erased
          FROM added
    ), written AS (
        UPDATE webhook_replays AS r
           SET delivered = r.delivered + summed.delivered,
               failed = r.failed + summed.failed,
               made = r.made - summed.erased,
               total = r.total - summed.erased
          FROM summed
         WHERE r.id = ANY (ARRAY(SELECT id FROM replay))
    )
    SELECT replay_id FROM next
"""


async def add_up_next(db: Connection, *, after: UUID) -> UUID | None:
    """
    Add outcomes to the counts of one replay, the next by id; returns it, None after the last.

    Nothing is added to a replay whose row is locked.
    """
    found: UUID | None = await db.fetchval(ADD_UP_NEXT, after)
    return found
