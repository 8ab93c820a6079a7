"""
The limits of a webhook, kept by all daemons together: attempts per second, and in flight at once.

A claim locks the webhook's row in `webhook_pacing`, or takes nothing. The rule: in no second do
more attempts begin than the limit and one, whatever the number of daemons; and webhooks without a
limit have no row, no lock and no write.

Attempts are spaced by a little more than the limit demands. After a pause of a second, as many
begin at once as one second may have, and then none for as long as these take up. In between, a few
begin together, so that a thousand per second do not need a thousand claims. What is in flight is
read from the rows of the attempts themselves: a result, a release or the end of a lease frees a
place, and writes nothing here.
"""

from collections.abc import Sequence

from daemon.core.model.ids import WebhookId
from daemon.core.policy.delivery_options import (
    FASTEST,
    FEWEST_IN_FLIGHT,
    MOST_IN_FLIGHT,
    SLOWEST,
)
from daemon.store.attempt_chains import SAME_PENDING
from daemon.store.session import Connection

# Attempts reach their receiver sooner or later after their claim: what is left of the second is for
# the difference.
SPACING = "1.1"
# A claim that comes late, by up to this, delays those after it no further.
CREDIT = "interval '50 milliseconds'"
# With the credit, 0.954 of a second's attempts begin in a second, and those of the last claim.
TOGETHER = "(1::float8 + pg_catalog.floor({limit} / 25::float8))::int"
IDLE_AFTER = "interval '1.05 seconds'"
# No wait is as long: the server's clock was set back.
LONGEST_WAIT = "interval '1 minute'"

# The states of a limit that matter: it has no row yet, which `begin` inserts, or all its places are
# taken.
NEW, FULL = "new", "full"

# How soon a claim is tried again when there is no row, when another daemon holds it, and when all
# places are taken; the daemon that stores the result of one does not wait for so long.
NEW_SECONDS = 0.25
CONTESTED_SECONDS = 0.02
FULL_SECONDS = 1.0


def rate(row: str) -> str:
    """SQL: `max_per_second` of the row within its bounds, if it has one."""
    column = f"{row}.max_per_second"
    return (
        f"CASE WHEN {column} IS NOT NULL"
        f" THEN least(greatest({column}, {SLOWEST}::float8), {FASTEST}::float8) END"
    )


LIMITS = f"""
                SELECT bound.per_second, bound.in_flight, running.ids AS running,
                       seen.claims IS NOT NULL AS known, held.claims IS NOT NULL AS mine,
                       held.next_at, pace.continues,
                       CASE WHEN held.claims IS NULL THEN 0
                            -- LEAST passes over what is NULL.
                            ELSE greatest(0, least(
                                CASE WHEN bound.per_second IS NULL THEN NULL
                                     WHEN pace.waits THEN 0
                                     WHEN pace.idle
                                     THEN pg_catalog.floor(greatest(bound.per_second,
                                                                    1::float8))::int
                                     ELSE {TOGETHER.format(limit="bound.per_second")} END,
                                bound.in_flight
                                - coalesce(pg_catalog.cardinality(running.ids), 0)))
                            END AS allowed
                  FROM (SELECT {rate("w")} AS per_second,
                               CASE WHEN w.max_in_flight IS NOT NULL
                                    THEN least(greatest(w.max_in_flight, {FEWEST_IN_FLIGHT}),
                                               {MOST_IN_FLIGHT}) END AS in_flight) AS bound
                  LEFT JOIN webhook_pacing AS seen ON seen.webhook_id = w.id
                  -- Of two daemons one skips the row, or finds that it has changed: then this
                  -- statement may not see the leases of the other.
                  LEFT JOIN LATERAL (
                        SELECT p.claims, p.per_second, p.next_at, p.in_flight
                          FROM webhook_pacing AS p
                         WHERE p.webhook_id = w.id
                           FOR NO KEY UPDATE SKIP LOCKED) AS held ON held.claims = seen.claims
                 CROSS JOIN LATERAL (
                        SELECT held.next_at > now() AND as_now.valid AS waits,
                               held.next_at > now() - {IDLE_AFTER} AND as_now.valid AS continues,
                               coalesce(held.next_at <= now() - {IDLE_AFTER}, true) AS idle
                          FROM (SELECT coalesce(held.per_second = bound.per_second
                                                AND held.next_at < now() + {LONGEST_WAIT},
                                                false) AS valid) AS as_now) AS pace
                  LEFT JOIN LATERAL (
                        SELECT pg_catalog.array_agg(d.id) AS ids
                          FROM pg_catalog.unnest(held.in_flight) AS attempt (id)
                          JOIN webhook_deliveries AS d
                            ON {SAME_PENDING.format(row="d", id="attempt.id")}
                               AND d.leased_until > now()
                         WHERE bound.in_flight IS NOT NULL) AS running ON true
                 WHERE w.max_per_second IS NOT NULL OR w.max_in_flight IS NOT NULL"""  # noqa: S608

# The part of their limits that the claims of these lanes take.
SPENT = f"""
        SELECT lane.id, lane.per_second, claimed.count,
               CASE WHEN lane.per_second IS NOT NULL
                    THEN CASE WHEN lane.continues
                              THEN greatest(lane.next_at, claimed.at - {CREDIT})
                              ELSE claimed.at END
                         + claimed.count::float8 * {SPACING}::float8 / lane.per_second
                           * interval '1 second' END AS next_at,
               CASE WHEN lane.most_in_flight IS NOT NULL
                    THEN pg_catalog.array_cat(lane.running, claimed.ids) END AS in_flight
          FROM lane
         CROSS JOIN LATERAL (SELECT clock_timestamp() AS at, pg_catalog.count(*) AS count,
                                    pg_catalog.array_agg(due.delivery_id) AS ids
                               FROM due
                              WHERE due.id = lane.id) AS claimed
         WHERE lane.allowed > 0 AND claimed.count > 0"""  # noqa: S608  made of constants only
TAKE = """
        UPDATE webhook_pacing AS p
           SET claims = p.claims + 1, per_second = spent.per_second, next_at = spent.next_at,
               in_flight = spent.in_flight
          FROM spent
         WHERE p.webhook_id >= spent.id AND p.webhook_id <= spent.id"""

# Seconds until a lane with a limit may have its next attempt; NULL if it need not wait.
IS_FULL = """
           lane.most_in_flight
           <= coalesce(pg_catalog.cardinality(lane.running), 0) + coalesce(spent.count, 0)"""
WAIT = f"""
                CASE WHEN NOT lane.known THEN {NEW_SECONDS}
                     WHEN NOT lane.mine THEN {CONTESTED_SECONDS}
                     ELSE greatest(
                         extract(epoch FROM coalesce(
                             spent.next_at, CASE WHEN lane.next_at > now() AND lane.continues
                                                 THEN lane.next_at END)
                             - now())::float8,
                         CASE WHEN {IS_FULL} THEN {FULL_SECONDS}::float8 END) END"""
STATE = f"""
                CASE WHEN NOT lane.known THEN '{NEW}' WHEN {IS_FULL} THEN '{FULL}' END"""

BEGIN = """
    WITH webhook AS MATERIALIZED (
        -- An insert for another webhook would wait for the transaction that is deleting or locking
        -- it.
        SELECT id FROM webhooks WHERE id = ANY ($1::uuid[]) FOR KEY SHARE SKIP LOCKED
    )
    INSERT INTO webhook_pacing (webhook_id) SELECT id FROM webhook ON CONFLICT DO NOTHING
    RETURNING webhook_id
"""


async def begin(db: Connection, webhook_ids: Sequence[WebhookId]) -> list[WebhookId]:
    """
    Insert the rows of webhooks that have a limit from now on, and return those that have one now.

    Missing are those that another transaction holds.
    """
    return [WebhookId(row["webhook_id"]) for row in await db.fetch(BEGIN, webhook_ids)]
