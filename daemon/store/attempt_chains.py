"""
SQL about the attempts to deliver one event to one webhook, and the chains that they form.

A chain is an attempt and the retries that follow it; a manual retry or a replay begins another.
Each expression is about a row `d` of webhook_deliveries, and finds the others by a range of keys:
only one index can serve that. For two equations, a planner without statistics may choose the
webhook's index instead, and read all of the webhook's attempts each time.
"""

# For attempts that are found by their keys. With the equation `status::text = 'pending_retry'`, a
# planner without statistics may choose the index of due times, and read everything that is pending.
PENDING = "{row}status::text >= 'pending_retry' AND {row}status::text <= 'pending_retry'"
# The pending row of an id that comes from another table. With the equation of ids, a planner may
# read all pending rows in their order, for a merge join that it then does not make; a plan that was
# made while there were none is kept when there are a million.
SAME_PENDING = "{row}.id >= {id} AND {row}.id <= {id} AND " + PENDING.replace("{row}", "{row}.")

EXHAUSTED = f"""
    -- `d` was made and failed, nothing is pending, and no attempt was made later. Two questions:
    -- each is put to a few partitions only.
    (d.status::text IS NOT DISTINCT FROM 'failed' AND NOT d.too_large AND NOT EXISTS (
         SELECT
           FROM webhook_deliveries AS other
          WHERE (other.event_id, other.webhook_id) >= (d.event_id, d.webhook_id)
            AND (other.event_id, other.webhook_id) <= (d.event_id, d.webhook_id)
            AND {PENDING.format(row="other.")})
     AND NOT EXISTS (
         SELECT
           FROM webhook_deliveries AS other
          WHERE (other.event_id, other.webhook_id) >= (d.event_id, d.webhook_id)
            AND (other.event_id, other.webhook_id) <= (d.event_id, d.webhook_id)
            AND other.attempted_at >= d.attempted_at
            AND (other.attempted_at, other.id) > (d.attempted_at, d.id)))"""  # noqa: S608  constants

# The application may have inserted any number. Above this one, those of a chain have no room.
HIGHEST_START = 2_147_480_000

NEXT_ATTEMPT_NUMBER = f"""
    (SELECT least(max(attempt_number), {HIGHEST_START})
       FROM webhook_deliveries
      WHERE (event_id, webhook_id) >= (d.event_id, d.webhook_id)
        AND (event_id, webhook_id) <= (d.event_id, d.webhook_id)) + 1"""  # noqa: S608  constants

MOST_REPLAYS = 50  # for which the outcome of one chain counts

CHAIN_REPLAYS = f"""
           CASE WHEN pg_catalog.cardinality(d.chain_replays) <= {MOST_REPLAYS}
                THEN d.chain_replays END AS chain_replays"""
