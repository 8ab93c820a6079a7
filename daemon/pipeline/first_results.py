"""
Stores the results of first attempts that were made from the inbox.

The rule: each result is fenced by its event's lease, and the event leaves the inbox with the last
of its results, in the same transaction.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from daemon.core.model.attempts import AttemptResult, ClaimKey
from daemon.core.model.ids import DeliveryId, TenantId, WebhookId
from daemon.pipeline.open_events import OpenEvent, OpenEvents
from daemon.store import inbox_leases, plain_results, results
from daemon.store.contested_results import ContestedInsert, insert_contested
from daemon.store.inbox_leases import LockedEvents
from daemon.store.leased_events import LeasedEvent, Leasing
from daemon.store.session import Connection

ByEvent: TypeAlias = Mapping[OpenEvent, Sequence[AttemptResult]]
Owners: TypeAlias = Mapping[WebhookId, TenantId]


@dataclass(frozen=True, slots=True)
class FirstStored:
    """
    When the next attempt of each stored result is due; None if there is none.

    `locked` results were not stored: another transaction has their event, or their id. `contested`
    says that ids were locked, or that foreign rows had them: results in `renamed` have others.
    """

    next_due: dict[ClaimKey, datetime | None] = field(default_factory=dict)
    locked: frozenset[DeliveryId] = frozenset()
    renamed: Mapping[DeliveryId, DeliveryId] = field(default_factory=dict)
    contested: bool = False


class FirstResults:
    """Writes rows within the caller's transaction, which ends with `settle`."""

    def __init__(self, events: OpenEvents, *, leasing: Leasing) -> None:
        self._events = events
        self._leasing = leasing

    @property
    def writing(self) -> asyncio.Lock:
        """The caller holds this from before its transaction until after `settle`."""
        return self._events.writing

    def settle(self, batch: Iterable[AttemptResult]) -> None:
        """Note that the transaction with these results has ended, first ones or others."""
        self._events.settle([each.claim.delivery_id for each in batch if each.claim.from_inbox])

    def are_plain(self, batch: Iterable[AttemptResult]) -> bool:
        """Whether all are successes, each of them the last result of its event."""
        return all(
            each.verdict.delivered
            and each.claim.from_inbox
            and self._events.of(each.claim.delivery_id).unsettled == 1
            for each in batch
        )

    async def store_plain(
        self, db: Connection, batch: Sequence[AttemptResult], *, succeeded: Collection[WebhookId]
    ) -> dict[DeliveryId, bool]:
        """
        Store results that are plain; returns which were stored, as `plain_results.store_plain`.
        """
        return await plain_results.store_plain(
            db,
            [(each, self._events.of(each.claim.delivery_id).leased) for each in batch],
            daemon_key=self._leasing.daemon_key,
            succeeded=succeeded,
        )

    async def store(
        self,
        db: Connection,
        batch: Sequence[AttemptResult],
        *,
        owners: Owners,
        bare: bool,
        careful: bool,
    ) -> FirstStored:
        """
        Insert rows for results whose event is still ours and whose webhook is still its tenant's.

        `owners` are the tenants of the webhooks that exist. One that was deleted may have been
        inserted again, with the same id, for another tenant: it gets nothing of the former one's.
        `careful`: there may be rows with their ids, foreign ones, or ours by a transaction whose
        end is not known.
        """
        if not batch:
            return FirstStored()
        by_event: dict[OpenEvent, list[AttemptResult]] = defaultdict(list)
        for result in batch:
            by_event[self._events.of(result.claim.delivery_id)].append(result)
        if not careful and all(e.unsettled == len(several) for e, several in by_event.items()):
            return await self._store_last(db, by_event, owners, bare=bare)
        events = await self._lock(db, by_event)
        locked = {
            each.claim.delivery_id
            for several in _of(by_event, events.held).values()
            for each in several
        }
        if events.at is None:
            return FirstStored(locked=frozenset(locked))
        ours = _of(by_event, events.ours)
        new = _of_owners(ours, owners)
        insert = insert_contested if careful else _insert
        inserted = await insert(db, new, at=events.at, bare=bare)
        await inbox_leases.remove(db, _ended(ours, inserted.locked))
        return FirstStored(
            inserted.next_due,
            frozenset(locked | inserted.locked),
            inserted.renamed,
            contested=inserted.is_contested,
        )

    async def _store_last(
        self, db: Connection, by_event: ByEvent, owners: Owners, *, bare: bool
    ) -> FirstStored:
        """Insert rows for the last results of their events, all of which must still be ours."""
        leased = [each.leased for each in by_event]
        at = await inbox_leases.end(db, leased, daemon_key=self._leasing.daemon_key)
        new = _of_owners(by_event, owners)
        return FirstStored(await results.insert_first(db, new, at=at, bare=bare))

    async def _lock(self, db: Connection, events: Collection[OpenEvent]) -> LockedEvents:
        """Lock the rows of events, also of those that have been written to another place."""
        key = self._leasing.daemon_key
        locked = await inbox_leases.lock(db, [each.leased for each in events], daemon_key=key)
        found = {id(each) for each in (*locked.ours, *locked.held)}
        lost = [each.leased for each in events if id(each.leased) not in found]
        moved = await inbox_leases.moved(db, lost, daemon_key=key)
        if not moved:
            return locked
        for each in moved:
            self._events.renew(each)
        return await inbox_leases.lock(db, [each.leased for each in events], daemon_key=key)


def _of(by_event: ByEvent, leased: Sequence[LeasedEvent]) -> ByEvent:
    """The results of these events."""
    if not leased:
        return {}
    wanted = {id(each) for each in leased}
    return {event: each for event, each in by_event.items() if id(event.leased) in wanted}


def _of_owners(by_event: ByEvent, owners: Owners) -> list[AttemptResult]:
    """The results of webhooks that still belong to the tenant of the event."""
    return [
        result
        for several in by_event.values()
        for result in several
        if owners.get(result.claim.webhook_id) == result.claim.tenant_id
    ]


def _ended(by_event: ByEvent, locked: Collection[DeliveryId]) -> list[LeasedEvent]:
    """The events of which these results are the last, and none of them is locked."""
    return [
        event.leased
        for event, several in by_event.items()
        if event.unsettled == len(several)
        and not (locked and any(each.claim.delivery_id in locked for each in several))
    ]


async def _insert(
    db: Connection, batch: Sequence[AttemptResult], *, at: datetime, bare: bool
) -> ContestedInsert:
    return ContestedInsert(await results.insert_first(db, batch, at=at, bare=bare))
