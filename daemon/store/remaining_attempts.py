"""
Attempts that are not made any more, because another attempt of the event has succeeded meanwhile.

The rule: a success ends the delivery, with whatever of it is pending and not in flight. That is so
in the transaction that stores the success; it waits for no lock, and what is locked stays.
"""

from collections.abc import Iterable

from daemon.core.model.attempts import Claim
from daemon.store.attempt_chains import CHAIN_REPLAYS, PENDING
from daemon.store.columns import columns
from daemon.store.session import Connection

FIND = f"""
    -- The application may have inserted any number for one event.
    SELECT found.id
      FROM unnest($1::uuid[], $2::uuid[]) AS delivered (event_id, webhook_id)
     CROSS JOIN LATERAL (
            SELECT id
              FROM webhook_deliveries
             -- A range of keys, as in `store.attempt_chains`.
             WHERE (event_id, webhook_id) >= (delivered.event_id, delivered.webhook_id)
               AND (event_id, webhook_id) <= (delivered.event_id, delivered.webhook_id)
               AND {PENDING.format(row="")}
               AND (leased_until IS NULL OR leased_until < now())
             LIMIT 100
               FOR UPDATE SKIP LOCKED) AS found
     LIMIT 1000
"""  # noqa: S608  made of constants only
REMOVE = f"""
    WITH removed AS (
        DELETE FROM webhook_deliveries AS d
         WHERE d.id = ANY ($1::uuid[]) AND {PENDING.format(row="d.")}
     RETURNING {CHAIN_REPLAYS.strip()}
    ), counting AS MATERIALIZED (
        SELECT pg_catalog.unnest(chain_replays) AS replay_id FROM removed
    )
    INSERT INTO webhook_replay_results (replay_id, delivered, failed, erased)
    SELECT replay_id, count(*), 0, 0
      FROM counting
     WHERE replay_id IS NOT NULL
     GROUP BY replay_id
"""  # noqa: S608


async def remove(db: Connection, delivered: Iterable[Claim]) -> int:
    """
    Delete what is pending of these events at these webhooks; replays count it as delivered.

    Call in the transaction that has stored their successes. Returns how many attempts it were.
    """
    pairs = {(claim.event_id, claim.webhook_id) for claim in delivered}
    found = await db.fetch(FIND, *columns(pairs)) if pairs else []
    if found:
        await db.execute(REMOVE, [row["id"] for row in found])
    return len(found)
