"""
Batches of counted attempts folded into the stats of each minute and each hour, step by step.

The rule: a batch is added to the stats and deleted in one transaction, by one daemon at a time, and
a webhook that another transaction locks delays no other one's stats.
"""

from dataclasses import dataclass
from datetime import timedelta

from daemon.store.errors import translated
from daemon.store.expired_rows import delete_rows
from daemon.store.server_identity import SERVER, server_of
from daemon.store.session import Connection

MINUTE, HOUR = 1, 60
# Far longer than a transaction that stores results may take, see `session`.
SETTLED_AFTER = timedelta(minutes=2)

TAKE_LOCK = """
    -- A row, not an advisory lock, which every role of the database could keep.
    SELECT progress.counted_up_to
      FROM (SELECT pg_catalog.set_config('statement_timeout', $1, true),
                   pg_catalog.set_config('lock_timeout', $1, true) OFFSET 0) AS bounded
     CROSS JOIN webhook_stats_progress AS progress
       FOR UPDATE OF progress SKIP LOCKED
"""


async def take_lock(db: Connection, *, statement_timeout: timedelta) -> int | None:
    """
    Lock the progress until this transaction ends; None when another daemon holds it.

    Returns up to which id no batch is left. Also bounds every later statement of the transaction.
    Raises StatementTimeoutError.
    """
    milliseconds = f"{statement_timeout / timedelta(milliseconds=1):.0f}"
    with translated():
        counted_up_to: int | None = await db.fetchval(TAKE_LOCK, milliseconds)
    return counted_up_to


FOLD = f"""
    WITH batch AS MATERIALIZED (
        SELECT id, minute, webhook_ids, ended, counts
          FROM webhook_stats_batches
         WHERE id > $1
         ORDER BY id
         LIMIT $2
    ), gone AS (
        DELETE FROM webhook_stats_batches WHERE id = ANY (ARRAY(SELECT id FROM batch))
    ), entry AS MATERIALIZED (
        SELECT each.webhook_id, batch.minute, each.ended,
               pg_catalog.sum(each.count)::bigint AS count
          FROM batch
         CROSS JOIN LATERAL unnest(webhook_ids, ended, counts) AS each (webhook_id, ended, count)
         GROUP BY each.webhook_id, batch.minute, each.ended
    ), counted AS MATERIALIZED (
        SELECT DISTINCT webhook_id AS id FROM entry
    ), insertable AS MATERIALIZED (
        -- The foreign key would wait for a transaction that is deleting or locking a webhook.
        SELECT id
          FROM webhooks
         WHERE id = ANY (ARRAY(SELECT id FROM counted))
           FOR KEY SHARE SKIP LOCKED
    ), missing AS MATERIALIZED (
        SELECT id FROM counted EXCEPT ALL SELECT id FROM insertable
    ), locked AS MATERIALIZED (
        SELECT id FROM webhooks WHERE id = ANY (ARRAY(SELECT id FROM missing))
    ), left_over AS MATERIALIZED (
        SELECT * FROM entry WHERE webhook_id = ANY (ARRAY(SELECT id FROM locked))
    ), put_back AS (
        INSERT INTO webhook_stats_batches (minute, webhook_ids, ended, counts)
        SELECT minute, pg_catalog.array_agg(webhook_id), pg_catalog.array_agg(ended),
               pg_catalog.array_agg(count::int)
          FROM left_over
         GROUP BY minute
    ), spanned AS MATERIALIZED (
        SELECT entry.webhook_id, span.minutes,
               CASE WHEN span.minutes = 1 THEN entry.minute
                    ELSE date_trunc('hour'::text, entry.minute) END AS begins_at,
               entry.ended, entry.count
          FROM entry
         CROSS JOIN (VALUES (1::smallint), (60::smallint)) AS span (minutes)
         -- Seldom any: an array of all others would be searched for each entry.
         WHERE NOT entry.webhook_id = ANY (ARRAY(SELECT id FROM missing))
    ), key AS MATERIALIZED (
        SELECT DISTINCT webhook_id, minutes, begins_at FROM spanned
    ), cell AS MATERIALIZED (
        SELECT webhook_id, minutes, begins_at, cell, pg_catalog.sum(count) AS count
          FROM (SELECT webhook_id, minutes, begins_at, ended / 100 AS cell, count
                  FROM spanned
                 UNION ALL
                SELECT webhook_id, minutes, begins_at, 100 + ended % 100, count
                  FROM spanned
                 UNION ALL
                -- Only who holds the lock writes these rows. A range of keys: a planner without
                -- statistics might choose the index by age.
                SELECT key.webhook_id, key.minutes, key.begins_at, each.cell, each.count
                  FROM key
                  JOIN webhook_stats AS stats
                    ON (stats.webhook_id, stats.minutes, stats.begins_at)
                       >= (key.webhook_id, key.minutes, key.begins_at)
                   AND (stats.webhook_id, stats.minutes, stats.begins_at)
                       <= (key.webhook_id, key.minutes, key.begins_at)
                 CROSS JOIN LATERAL unnest(stats.cells, stats.counts) AS each (cell, count)) AS each
         GROUP BY webhook_id, minutes, begins_at, cell
    ), total AS MATERIALIZED (
        SELECT webhook_id, minutes, begins_at, pg_catalog.array_agg(cell) AS cells,
               pg_catalog.array_agg(least(count, 2147483647::numeric)::int) AS counts
          FROM cell
         GROUP BY webhook_id, minutes, begins_at
    ), total_of_all AS MATERIALIZED (
        SELECT minute, cell, pg_catalog.sum(count)::bigint AS count
          FROM (SELECT begins_at AS minute, ended / 100 AS cell, count
                  FROM spanned WHERE minutes = 1
                 UNION ALL
                SELECT begins_at, 100 + ended % 100, count
                  FROM spanned WHERE minutes = 1
                 UNION ALL
                SELECT totals.minute, each.cell, each.count
                  FROM (SELECT DISTINCT begins_at FROM key WHERE minutes = 1) AS counted
                  JOIN webhook_stats_totals AS totals ON totals.minute = counted.begins_at
                 CROSS JOIN LATERAL unnest(totals.cells, totals.counts) AS each (cell, count)
               ) AS each
         GROUP BY minute, cell
    ), folded_of_all AS (
        INSERT INTO webhook_stats_totals (minute, cells, counts)
        SELECT minute, pg_catalog.array_agg(cell), pg_catalog.array_agg(count)
          FROM total_of_all
         GROUP BY minute
            ON CONFLICT (minute) DO UPDATE SET cells = excluded.cells, counts = excluded.counts
    ), folded AS (
        INSERT INTO webhook_stats (webhook_id, minutes, begins_at, cells, counts)
        SELECT webhook_id, minutes, begins_at, cells, counts
          FROM total
            ON CONFLICT (webhook_id, minutes, begins_at) DO UPDATE
           SET cells = excluded.cells, counts = excluded.counts
    )
    SELECT pg_catalog.count(*) AS batches, pg_catalog.max(id) AS last_id, {SERVER} FROM batch
"""  # noqa: S608  SERVER is a constant


@dataclass(frozen=True, slots=True)
class FoldedStep:
    """
    How many `batches` one step has folded, and the id of the last one; None without any.

    Ids are those of this `server`.
    """

    batches: int
    last_id: int | None
    server: str


async def fold(db: Connection, *, after_id: int, limit: int) -> FoldedStep:
    """
    Fold up to `limit` batches that follow an id; the caller has the lock.

    Counts of locked webhooks go into a new batch. Raises StatementTimeoutError.
    """
    with translated():
        row = await db.fetchrow(FOLD, after_id, limit)
    return FoldedStep(row["batches"], row["last_id"], server_of(row))


NOTE_PROGRESS = """
    UPDATE webhook_stats_progress
       SET counted_up_to = CASE WHEN noted_at < now() - $2::interval THEN noted_id
                                ELSE counted_up_to END,
           noted_id = CASE WHEN noted_at < now() - $2::interval THEN greatest(noted_id, $1)
                           ELSE noted_id END,
           noted_at = CASE WHEN noted_at < now() - $2::interval THEN now() ELSE noted_at END
"""


async def note_progress(db: Connection, last_id: int, *, settled_after: timedelta) -> None:
    """
    Note that every batch that was visible is folded; `last_id` is the last one ever seen.

    Batches of transactions that were open when an id was noted are folded after `settled_after`.
    """
    with translated():
        await db.execute(NOTE_PROGRESS, last_id, settled_after)


DELETE_EXPIRED = """
    DELETE FROM webhook_stats
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_stats
                              WHERE minutes = $3 AND begins_at < now() - $1::interval
                              ORDER BY begins_at
                              LIMIT $2
                                FOR UPDATE SKIP LOCKED))
"""


async def delete_expired(db: Connection, *, older_than: timedelta, limit: int, minutes: int) -> int:
    """
    Delete up to `limit` of the oldest stats of minutes or of hours; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_EXPIRED, older_than, limit, minutes)


DELETE_EXPIRED_TOTALS = """
    DELETE FROM webhook_stats_totals
     WHERE minute = ANY (ARRAY(SELECT minute FROM webhook_stats_totals
                                WHERE minute < now() - $1::interval
                                ORDER BY minute
                                LIMIT $2
                                  FOR UPDATE SKIP LOCKED))
"""


async def delete_expired_totals(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the oldest minutes of all webhooks; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_EXPIRED_TOTALS, older_than, limit)
