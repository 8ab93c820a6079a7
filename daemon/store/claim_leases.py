"""The leases of claims until their results are stored: prolonged, given back, and looked up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from daemon.core.model.attempts import Claim, ClaimKey
from daemon.core.model.ids import DeliveryId
from daemon.store.attempt_chains import SAME_PENDING
from daemon.store.columns import columns
from daemon.store.session import Connection

NOTE_SIZE = f"""
    UPDATE webhook_deliveries AS d
       SET payload_bytes = $3
     WHERE {SAME_PENDING.format(row="d", id="$1")}
       AND leased_until = $2 AND webhook_id IS NOT DISTINCT FROM $4
"""  # noqa: S608  made of constants only


async def note_size(db: Connection, claim: Claim, payload_bytes: int | None) -> None:
    """Store the measured size of a claim's data with its row; None if it is not known any more."""
    args = (claim.delivery_id, claim.leased_until, payload_bytes, claim.webhook_id)
    await db.execute(NOTE_SIZE, *args)


CLEAR_LEASES = f"""
    WITH held AS MATERIALIZED (
        -- A row that another transaction holds must not delay all others: its lease lapses.
        SELECT d.id
          FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
          JOIN webhook_deliveries AS d ON {SAME_PENDING.format(row="d", id="held.id")}
           AND d.leased_until = held.leased_until
           FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE webhook_deliveries AS d
       SET leased_until = NULL
      FROM held
     WHERE {SAME_PENDING.format(row="d", id="held.id")}
"""  # noqa: S608  made of constants only

RELEASE_PROBES = """
    WITH held AS MATERIALIZED (
        SELECT w.id
          FROM unnest($1::uuid[], $2::timestamptz[]) AS held (webhook_id, leased_until)
          JOIN webhooks AS w ON w.id >= held.webhook_id AND w.id <= held.webhook_id
                                AND w.next_probe_at = held.leased_until
           FOR NO KEY UPDATE OF w SKIP LOCKED
    )
    UPDATE webhooks AS w
       SET next_probe_at = now()
      FROM held
     WHERE w.id >= held.id AND w.id <= held.id
"""


async def release(db: Connection, claims: Sequence[Claim]) -> None:
    """Give back claims without an attempt: each is due again at once, with the same number."""
    await db.execute(CLEAR_LEASES, *_leases(claims))
    probes = [(c.webhook_id, c.leased_until) for c in claims if c.failing_since is not None]
    if probes:
        await db.execute(RELEASE_PROBES, *columns(probes))


PROLONG_LEASES = f"""
    WITH held AS MATERIALIZED (
        SELECT d.id, d.leased_until
          FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
          JOIN webhook_deliveries AS d ON {SAME_PENDING.format(row="d", id="held.id")}
           AND d.leased_until = held.leased_until
           FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE webhook_deliveries AS d
       SET leased_until = now() + $3::interval
      FROM held
     WHERE {SAME_PENDING.format(row="d", id="held.id")}
 RETURNING d.id, held.leased_until AS before, d.leased_until
"""  # noqa: S608  made of constants only


async def prolong(
    db: Connection, claims: Sequence[Claim], *, lease: timedelta
) -> dict[ClaimKey, datetime]:
    """
    Prolong the leases of attempts whose results cannot be stored yet.

    Returns the new leases; missing are attempts that are locked or no longer have their lease.
    """
    if not claims:
        return {}
    rows = await db.fetch(PROLONG_LEASES, *_leases(claims), lease)
    return {(DeliveryId(row["id"]), row["before"]): row["leased_until"] for row in rows}


FIND_LEASED = f"""
    SELECT d.id
      FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
      JOIN webhook_deliveries AS d ON {SAME_PENDING.format(row="d", id="held.id")}
       AND d.leased_until = held.leased_until
"""  # noqa: S608  made of constants only


async def still_leased(db: Connection, claims: Sequence[Claim]) -> set[DeliveryId]:
    """
    Return the claims whose rows still have their lease.

    If their results were not stored nevertheless, another transaction holds the rows.
    """
    if not claims:
        return set()
    rows = await db.fetch(FIND_LEASED, *_leases(claims))
    return {DeliveryId(row["id"]) for row in rows}


def _leases(claims: Sequence[Claim]) -> list[tuple[object, ...]]:
    """The columns of `held` in the statements above."""
    return columns([(claim.delivery_id, claim.leased_until) for claim in claims])
