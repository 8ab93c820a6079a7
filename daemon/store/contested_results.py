"""
Results of attempts whose ids other transactions may have used, stored piece by piece.

A receiver learns an attempt's id before its row exists, so a transaction that may insert deliveries
can take the id first. The rule: such a row delays or replaces no other result.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import asyncpg

from daemon.core.model.attempts import AttemptResult, ClaimKey
from daemon.core.model.ids import DeliveryId, TenantId, WebhookId
from daemon.store.columns import columns
from daemon.store.delivery_ids import new_delivery_id
from daemon.store.results import insert_first, store
from daemon.store.session import Connection

# No other writer has reason to use these ids, so a longer wait is not worth it. A busy server may
# take as long to extend the table: then results are stored a moment later, that is all.
BEGIN_PIECE = "SAVEPOINT piece; SET LOCAL lock_timeout = '5ms'"
END_PIECE = "RELEASE SAVEPOINT piece"
UNDO_PIECE = "ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece"
# A tenant with so many webhooks whose ids are locked is not tried further in this transaction.
MANY_LOCKED_WEBHOOKS = 3

FIND_TAKEN = """
    SELECT d.id,
           -- Ours, if its transaction was committed and the connection lost before the answer came.
           d.webhook_id = r.webhook_id AND d.event_id = r.event_id
               AND d.attempted_at = r.attempted_at AS is_ours
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])
           AS r (id, webhook_id, event_id, attempted_at)
      JOIN webhook_deliveries AS d ON d.id = r.id
"""


@dataclass(slots=True)
class ContestedInsert:
    """
    The stored results: `next_due` as of `insert_first` and `store`, by the attempt's claim.

    `locked` results were not stored: transactions that are open have rows with their ids.
    `renamed` ones have rows with other ids, because foreign rows have theirs.
    """

    next_due: dict[ClaimKey, datetime | None] = field(default_factory=dict)
    locked: set[DeliveryId] = field(default_factory=set)
    renamed: dict[DeliveryId, DeliveryId] = field(default_factory=dict)
    _locked_webhooks: dict[WebhookId, TenantId] = field(default_factory=dict)

    @property
    def is_contested(self) -> bool:
        """Whether foreign rows have, or may get, some of the ids."""
        return bool(self.locked or self.renamed)

    def lock(self, result: AttemptResult) -> None:
        """Note a result whose id an open transaction has."""
        self.locked.add(result.claim.delivery_id)
        self._locked_webhooks[result.claim.webhook_id] = result.claim.tenant_id

    def is_suspect(self, result: AttemptResult) -> bool:
        """Whether so many ids are locked beside this one that it is not worth a wait."""
        claim = result.claim
        count = Counter(self._locked_webhooks.values())[claim.tenant_id]
        return claim.webhook_id in self._locked_webhooks or count >= MANY_LOCKED_WEBHOOKS


async def insert_contested(
    db: Connection, results: Sequence[AttemptResult], *, at: datetime, bare: bool = False
) -> ContestedInsert:
    """
    Insert the rows of first attempts as `insert_first` does, in a transaction, around foreign rows.

    A result that is stored already is missing from what is returned. The caller has locked the
    webhooks and the events: so a row of ours with the same id is committed, never under way.
    """
    done = ContestedInsert()

    async def insert(piece: Sequence[AttemptResult]) -> None:
        rows = [_row(each, done) for each in piece]
        next_due = await insert_first(db, rows, at=at, bare=bare)
        for each, row in zip(piece, rows, strict=True):
            done.next_due[each.claim.key] = next_due[row.claim.key]

    left = await _not_taken(db, results, done)
    await _write_in_pieces(db, left, done, insert)
    return done


async def store_uncontested(
    db: Connection, results: Sequence[AttemptResult], *, bare: bool = False
) -> ContestedInsert:
    """Store results as `results.store` does, which fails where foreign rows have their ids."""
    return ContestedInsert(await store(db, results, bare=bare))


async def store_contested(
    db: Connection, results: Sequence[AttemptResult], *, bare: bool = False
) -> ContestedInsert:
    """
    Store the results of claimed attempts as `results.store` does, around foreign rows.

    A partition of finished attempts may have, or get, a row with the id of a pending one.
    """
    done = ContestedInsert()

    async def update(piece: Sequence[AttemptResult]) -> None:
        done.next_due |= await store(db, piece, bare=bare, renamed=done.renamed)

    await _write_in_pieces(db, list(results), done, update)
    return done


async def _write_in_pieces(
    db: Connection,
    left: list[AttemptResult],
    done: ContestedInsert,
    write: Callable[[Sequence[AttemptResult]], Awaitable[None]],
) -> None:
    """Write all that can be written now, several at once."""
    # Of one webhook, and of one tenant, side by side: what is locked is found in fewer pieces.
    left.sort(key=lambda each: (each.claim.tenant_id, each.claim.webhook_id))
    size = len(left)
    while left:
        piece = left[:size]
        failure = await _write_piece(db, piece, write)
        if failure is None:
            del left[:size]
            size *= 2
        elif len(piece) > 1:
            size = len(piece) // 2
        elif isinstance(failure, asyncpg.UniqueViolationError):
            if piece[0].claim.delivery_id in done.renamed:
                raise failure  # by an index of the application: no other id would help
            _rename(piece[0], done)
        else:
            done.lock(piece[0])
            suspects = [each for each in left if done.is_suspect(each)]
            for each in suspects:
                done.lock(each)
            left = [each for each in left if each.claim.delivery_id not in done.locked]


async def _not_taken(
    db: Connection, results: Sequence[AttemptResult], done: ContestedInsert
) -> list[AttemptResult]:
    """The results that have no rows yet; those whose ids foreign rows have get others."""
    if not results:
        return []
    claims = [each.claim for each in results]
    keys = [(c.delivery_id, c.webhook_id, c.event_id, c.claimed_at) for c in claims]
    rows = await db.fetch(FIND_TAKEN, *columns(keys))
    is_ours: dict[DeliveryId, bool] = {}
    for row in rows:  # several partitions may have rows with one id
        delivery_id = DeliveryId(row["id"])
        is_ours[delivery_id] = is_ours.get(delivery_id, False) or bool(row["is_ours"])
    left = [each for each in results if not is_ours.get(each.claim.delivery_id, False)]
    for each in left:
        if each.claim.delivery_id in is_ours:
            _rename(each, done)
    return left


def _rename(result: AttemptResult, done: ContestedInsert) -> None:
    done.renamed[result.claim.delivery_id] = new_delivery_id()


def _row(result: AttemptResult, done: ContestedInsert) -> AttemptResult:
    """The result with the id that its row gets."""
    row_id = done.renamed.get(result.claim.delivery_id, result.claim.delivery_id)
    return replace(result, claim=replace(result.claim, delivery_id=row_id))


async def _write_piece(
    db: Connection,
    piece: Sequence[AttemptResult],
    write: Callable[[Sequence[AttemptResult]], Awaitable[None]],
) -> asyncpg.PostgresError | None:
    """Write some results, or none; returns why not."""
    await db.execute(BEGIN_PIECE)
    try:
        await write(piece)
    except (asyncpg.LockNotAvailableError, asyncpg.UniqueViolationError) as error:
        await db.execute(UNDO_PIECE)
        return error
    await db.execute(END_PIECE)
    return None
