"""
The deliveries of one step of a replay: inserted, or pending already and brought forward.

The rule: an event has at most one pending attempt at a webhook. Where one is pending, it counts for
the replay, too, instead of another; the cursor moves in the same statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from daemon.core.model.replays import ReplaySource
from daemon.core.scheduling.replay_pace import Batch
from daemon.store.attempt_chains import (
    HIGHEST_START,
    MOST_REPLAYS,
    NEXT_ATTEMPT_NUMBER,
    PENDING,
)
from daemon.store.delivery_ids import new_delivery_id
from daemon.store.earlier_deliveries import SENT_FIRST, SINCE
from daemon.store.replay_steps import LockedReplay
from daemon.store.session import Connection

LOCK_PENDING = f"""
    WITH pending AS MATERIALIZED (
        SELECT wanted.event_id, found.id
          FROM pg_catalog.unnest($2::uuid[]) AS wanted (event_id)
         CROSS JOIN LATERAL (
                SELECT id
                  FROM webhook_deliveries
                 -- A range of keys, as in `store.attempt_chains`.
                 WHERE (event_id, webhook_id) >= (wanted.event_id, $1)
                   AND (event_id, webhook_id) <= (wanted.event_id, $1)
                   AND {PENDING.format(row="")}
                 LIMIT 1) AS found
    ), ours AS MATERIALIZED (
        SELECT d.id
          FROM webhook_deliveries AS d
         WHERE d.id = ANY (ARRAY(SELECT id FROM pending)) AND {PENDING.format(row="d.")}
           FOR UPDATE SKIP LOCKED
    )
    SELECT event_id, id, id = ANY (ARRAY(SELECT id FROM ours)) AS is_ours FROM pending
"""  # noqa: S608  made of constants only


@dataclass(frozen=True, slots=True)
class PendingAttempts:
    """Pending attempts by their events: those locked now, and events whose others have locked."""

    ours: dict[UUID, UUID] = field(default_factory=dict)
    held: frozenset[UUID] = frozenset()


async def lock_pending(
    db: Connection, replay: LockedReplay, events: Sequence[UUID]
) -> PendingAttempts:
    """Lock the pending attempts of these events at the replay's webhook; waits for no lock."""
    # Nothing of an exhausted delivery is pending.
    if not events or replay.source is ReplaySource.EXHAUSTED:
        return PendingAttempts()
    rows = await db.fetch(LOCK_PENDING, replay.webhook_id, events)
    return PendingAttempts(
        {row["event_id"]: row["id"] for row in rows if row["is_ours"]},
        frozenset(row["event_id"] for row in rows if not row["is_ours"]),
    )


NEW_FROM_EVENTS = f"""
        SELECT event.*,
               (SELECT least(coalesce(max(attempt_number), 0), {HIGHEST_START})
                  FROM webhook_deliveries
                 WHERE (event_id, webhook_id) >= (event.event_id, $2)
                   AND (event_id, webhook_id) <= (event.event_id, $2)
                   AND attempted_at >= event.since) + 1 AS number,
               CASE WHEN event.data_changed_at IS NOT NULL THEN {SENT_FIRST} END AS sent_first
          FROM (SELECT new.id AS new_id, e.id AS event_id, e.id,
                       coalesce(e.event_type, '') AS event_type, e.event_data AS data,
                       NULL::bigint AS payload_bytes, e.created_at, e.data_changed_at,
                       {SINCE.format(event="e")} AS since
                  FROM unnest($3::uuid[], $4::uuid[]) AS new (id, event_id)
                  JOIN webhook_events AS e ON e.id = new.event_id
                   -- An erasure of the event waits, and then sees the new delivery.
                   FOR KEY SHARE OF e) AS event"""  # noqa: S608  made of constants only
NEW_FROM_EXHAUSTED = f"""
        SELECT new.id AS new_id, d.event_id, d.event_type, d.payload AS data, d.payload_bytes,
               d.event_created_at AS created_at, {NEXT_ATTEMPT_NUMBER} AS number,
               NULL::timestamptz AS data_changed_at, NULL::jsonb AS sent_first
          FROM unnest($3::uuid[], $4::uuid[]) AS new (id, last_id)
          JOIN webhook_deliveries AS d ON d.id = new.last_id
                                      -- Others may have rows with this id.
                                      AND d.webhook_id IS NOT DISTINCT FROM $2
           FOR KEY SHARE OF d"""  # noqa: S608
# Bytes as PostgreSQL stores them for each that it prints, at most: see `webhook_payload_bytes`.
STORED_PER_PRINTED = 6
MAKE = f"""
    -- The statement's time, not the transaction's: deliveries inserted later under the lock are due
    -- later, so `outstanding` can start from the due time of the earliest pending one.
    WITH new AS MATERIALIZED ({{new}}
    ), made AS (
        INSERT INTO webhook_deliveries
               (id, webhook_id, event_id, event_type, payload, payload_bytes, event_created_at,
                next_retry_at, attempt_number, chain_start, replay_id, chain_replays)
        SELECT new_id, $2, event_id, event_type,
               -- Not what is far too large to be sent: its claim reads the event, and finds that.
               CASE WHEN sent_first IS NOT NULL THEN sent_first
                    WHEN pg_catalog.pg_column_size(data) <= {STORED_PER_PRINTED} * $9::bigint
                    THEN data END, payload_bytes,
               created_at, statement_timestamp(), number, number, $1::uuid, ARRAY[$1::uuid]
          FROM new
     RETURNING pg_catalog.pg_column_size(payload) AS size
    ), brought_forward AS (
        UPDATE webhook_deliveries AS d
           SET next_retry_at = least(d.next_retry_at, statement_timestamp()),
               -- One in flight began without the replay.
               replay_id = CASE WHEN d.leased_until >= now() THEN d.replay_id ELSE $1::uuid END,
               brought_forward = CASE WHEN d.leased_until >= now() THEN d.brought_forward
                                      ELSE true END,
               chain_replays = CASE WHEN $1::uuid = ANY (d.chain_replays) THEN d.chain_replays
                                    ELSE pg_catalog.array_append(d.chain_replays, $1::uuid) END
         WHERE d.id = ANY ($7::uuid[]) AND {PENDING.format(row="d.")}
           AND d.webhook_id IS NOT DISTINCT FROM $2
           AND coalesce(pg_catalog.cardinality(d.chain_replays), 0) < {MOST_REPLAYS}
     RETURNING d.id
    )
    UPDATE webhook_replays AS r
       SET cursor_time = $5, cursor_id = $6, made = r.made + step.count,
           changed = r.changed + step.changed,
           -- Rows may have been committed since they were counted.
           total = greatest(r.total, r.made + step.count),
           subscription_key = CASE WHEN $8::bool THEN NULL ELSE r.subscription_key END
      FROM (SELECT (SELECT count(*) FROM made) + (SELECT count(*) FROM brought_forward) AS count,
                   (SELECT coalesce(sum(size), 0)::bigint FROM made) AS copied_bytes,
                   (SELECT count(*) FROM new
                     WHERE data_changed_at IS NOT NULL AND sent_first IS NULL) AS changed) AS step
     WHERE r.id = $1::uuid
 RETURNING step.count, step.copied_bytes, statement_timestamp() AS due_at
"""  # noqa: S608
MAKE_FROM = {
    ReplaySource.EVENTS: MAKE.format(new=NEW_FROM_EVENTS),
    ReplaySource.EXHAUSTED: MAKE.format(new=NEW_FROM_EXHAUSTED),
}


@dataclass(frozen=True, slots=True)
class Made:
    """
    How many deliveries count for the replay now, and when new ones are due.

    New ones have `copied_bytes` of data, as PostgreSQL stores them.
    """

    count: int
    due_at: datetime
    copied_bytes: int


async def make(
    db: Connection,
    replay: LockedReplay,
    batch: Batch,
    pending: PendingAttempts,
    *,
    most_bytes: int,
) -> Made:
    """
    Make the deliveries of a batch that is not empty, and move the cursor to its end.

    Data that would print more than `most_bytes` in any case are not copied.
    """
    assert batch.end is not None
    ids = [each for each in batch.ids if each not in pending.ours]
    row = await db.fetchrow(
        MAKE_FROM[replay.source],
        *(replay.id, replay.webhook_id, [new_delivery_id() for _ in ids], ids),
        *(batch.end.at, batch.end.id),
        [pending.ours[each] for each in batch.ids if each in pending.ours],
        replay.subscription_changed,
        most_bytes,
    )
    return Made(row["count"], row["due_at"], row["copied_bytes"])
