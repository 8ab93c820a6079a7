"""
Operational events: written in the transaction of what they report, for fan-out to deliver.

The rule: without subscribers nothing is written, and that costs one look at an empty index. No
statement here waits for a lock: subscribers are read, never locked.
"""

from collections.abc import Sequence

import orjson

from daemon.core.model.operational_events import Transition
from daemon.core.model.replays import Replay
from daemon.store.attempt_chains import PENDING
from daemon.store.columns import columns
from daemon.store.session import Connection

# Of one webhook in one batch of results: the rest of its exhausted deliveries are one event.
MOST_OF_WEBHOOK = 10


# Asked first: where there are no such webhooks at all, nothing else is sent or read.
ANY_SUBSCRIBERS = """
    SELECT EXISTS (SELECT FROM webhook_operator_scopes)
        OR EXISTS (SELECT FROM webhooks WHERE scope::text = 'account')
"""
HAS_SUBSCRIBERS = """
               (EXISTS (SELECT FROM webhook_operator_scopes)
                OR EXISTS (SELECT FROM webhooks AS s
                            WHERE s.tenant_id = w.tenant_id AND s.scope::text = 'account'))"""

MEMBERS = """
                             'tenant_id'::text, tenant_id, 'webhook_id'::text, webhook_id,
                             'webhook_name'::text, name, 'consecutive_failures'::text, in_a_row,
                             'reason'::text, reason"""
# A range of keys, as in `store.attempt_chains`.
KEYS = """(d.event_id, d.webhook_id) >= (wanted.event_id, wanted.webhook_id)
                  AND (d.event_id, d.webhook_id) <= (wanted.event_id, wanted.webhook_id)"""
WRITE_TRANSITIONS = f"""
    WITH wanted AS MATERIALIZED (
        SELECT r.*, w.tenant_id, w.name, coalesce(r.failures, w.consecutive_failures) AS in_a_row
          FROM unnest($1::text[], $2::uuid[], $3::text[], $4::int[], $5::uuid[], $6::text[],
                      $7::uuid[], $8::timestamptz[])
               WITH ORDINALITY AS r (type, webhook_id, reason, failures, event_id, event_type,
                                     delivery_id, attempted_at, number)
         -- LIMIT: a join might read all webhooks.
         CROSS JOIN LATERAL (
                SELECT tenant_id, name, consecutive_failures, scope
                  FROM webhooks
                 WHERE id = r.webhook_id
                 LIMIT 1) AS w
         -- What happens to a webhook that gets such events raises none.
         WHERE w.scope::text = 'events' AND {HAS_SUBSCRIBERS}
    ), ended AS MATERIALIZED (
        -- The same event may have other chains: while one has an attempt that is pending, or if an
        -- attempt that was made later has succeeded, the delivery was not given up.
        SELECT wanted.*,
               row_number() OVER (PARTITION BY webhook_id, type ORDER BY number) AS place,
               count(*) OVER (PARTITION BY webhook_id, type) AS several
          FROM wanted
         WHERE event_id IS NULL OR (
               SELECT true
                 FROM webhook_deliveries AS d
                -- ORDER BY has the index of the keys read, and not that of all that is pending.
                WHERE {KEYS} AND {PENDING.format(row="d.")}
                ORDER BY d.event_id, d.webhook_id
                LIMIT 1) IS NULL AND NOT 'success' = ANY (ARRAY(
               -- The application may have inserted any number for one event.
               SELECT d.status::text
                 FROM webhook_deliveries AS d
                WHERE {KEYS} AND d.attempted_at >= wanted.attempted_at
                ORDER BY d.event_id, d.webhook_id
                LIMIT 100))
    ), raised AS MATERIALIZED (
        SELECT tenant_id, webhook_id, type, number,
               CASE WHEN place > $9 THEN several - $9 ELSE 1 END AS count,
               CASE WHEN event_id IS NULL
                    THEN pg_catalog.jsonb_build_object({MEMBERS})
                    ELSE pg_catalog.jsonb_build_object({MEMBERS},
                             'event_id'::text, event_id, 'event_type'::text, event_type,
                             'delivery_id'::text, delivery_id) END AS data
          FROM ended
         WHERE place <= $9 OR place = several
    )
    INSERT INTO webhook_operational_events (tenant_id, webhook_id, type, data, count)
    SELECT tenant_id, webhook_id, type, data, count::int FROM raised ORDER BY number
"""  # noqa: S608  made of constants only


async def write_transitions(db: Connection, transitions: Sequence[Transition]) -> bool:
    """
    Insert the events of these transitions; returns whether there are any.

    Those of webhooks that get operational events themselves are left out, and those without
    subscribers. `transitions` is not empty; call this after the health of the webhooks was written.
    """
    if not await db.fetchval(ANY_SUBSCRIBERS):
        return False
    rows = [_row(each) for each in transitions]
    written = await db.execute(WRITE_TRANSITIONS, *columns(rows), MOST_OF_WEBHOOK)
    return bool(written != "INSERT 0 0")


def _row(transition: Transition) -> tuple[object, ...]:
    """The columns of `r` in WRITE_TRANSITIONS, in its order."""
    ended = transition.delivery
    return (
        *(transition.type.value, transition.webhook_id, transition.reason, transition.failures),
        *(
            (None, None, None, None)
            if ended is None
            else (ended.event_id, ended.event_type, ended.delivery_id, ended.attempted_at)
        ),
    )


WRITE_COMPLETED = f"""
    WITH completed AS MATERIALIZED (
        SELECT w.tenant_id, w.id AS webhook_id,
               pg_catalog.jsonb_build_object(
                   'tenant_id'::text, w.tenant_id, 'webhook_id'::text, w.id,
                   'webhook_name'::text, w.name,
                   'consecutive_failures'::text, w.consecutive_failures, 'reason'::text, NULL::text
               ) || $2::jsonb AS data
          FROM webhooks AS w
         WHERE w.id = $1 AND w.scope::text = 'events' AND {HAS_SUBSCRIBERS}
    )
    INSERT INTO webhook_operational_events (tenant_id, webhook_id, type, data)
    SELECT tenant_id, webhook_id, 'replay.completed', data FROM completed
"""  # noqa: S608  made of constants only


async def write_completed_replay(db: Connection, replay: Replay) -> None:
    """Insert the event of a replay that has just been completed, if it has subscribers."""
    counts = {
        "replay_id": str(replay.id),
        "total": replay.total,
        "sent": replay.sent,
        "delivered": replay.delivered,
        "failed": replay.failed,
        "waiting": replay.waiting,
    }
    await db.execute(WRITE_COMPLETED, replay.webhook_id, orjson.dumps(counts).decode())


LEAVE_OUT_PAUSES = "SELECT pg_catalog.set_config('webhookd.pause_events'::text, 'off'::text, true)"


async def leave_out_pauses(db: Connection) -> None:
    """Until the transaction ends, pauses raise no event: they are the beginning of a deletion."""
    await db.execute(LEAVE_OUT_PAUSES)
