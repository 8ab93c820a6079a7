"""
SQL about chains: a chain is all attempts to deliver one event to one webhook.

Each expression is about a row `d` of webhook_deliveries, and finds the chain by a range of keys:
only one index can serve that. For two equations, a planner without statistics may choose the
webhook's index instead, and read all of the webhook's attempts each time.
"""

EXHAUSTED = """
    -- `d` is the last attempt of its chain, was made and failed, and no attempt of it succeeded or
    -- is pending.
    (d.status::text IS NOT DISTINCT FROM 'failed' AND NOT d.too_large AND NOT EXISTS (
         SELECT
           FROM webhook_deliveries AS other
          WHERE (other.event_id, other.webhook_id) >= (d.event_id, d.webhook_id)
            AND (other.event_id, other.webhook_id) <= (d.event_id, d.webhook_id)
            AND (other.status::text <> 'failed'
                 OR (other.attempted_at, other.id) > (d.attempted_at, d.id))))"""

NEXT_ATTEMPT_NUMBER = """
    -- The application may have inserted the highest number that the column can hold.
    (SELECT least(max(attempt_number), 2147483646)
       FROM webhook_deliveries
      WHERE (event_id, webhook_id) >= (d.event_id, d.webhook_id)
        AND (event_id, webhook_id) <= (d.event_id, d.webhook_id)) + 1"""
