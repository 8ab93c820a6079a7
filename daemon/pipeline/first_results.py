"""
Stores the results of first attempts that were made from the inbox.

The rule: each result is fenced by its event's lease, and the event leaves the inbox with the last
of its results, in the same transaction.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from daemon.core.model.attempts import AttemptResult, Claim
from daemon.core.model.ids import DeliveryId, WebhookId
from daemon.pipeline.open_events import OpenEvent, OpenEvents
from daemon.store import inbox_leases, plain_results, results
from daemon.store.event_inbox import Leasing
from daemon.store.session import Connection


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
        self._events.settle(each.claim.delivery_id for each in batch if each.claim.from_inbox)

    async def prolong(self, db: Connection, claims: Iterable[Claim], *, lease: timedelta) -> None:
        """Prolong the leases of the events of these first attempts; the caller holds `writing`."""
        events = {self._events.of(each.delivery_id) for each in claims}
        if not events:
            return
        prolonged = await inbox_leases.prolong(
            db,
            [each.leased for each in events],
            daemon_key=self._leasing.daemon_key,
            lease=lease,
        )
        for leased in prolonged:
            self._events.renew(leased)

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
    ) -> set[DeliveryId]:
        """
        Store results that are plain; returns which were stored.

        `last_success_at` of the `succeeded` webhooks is set.
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
        webhooks: Collection[WebhookId],
        bare: bool,
        repeated: bool,
    ) -> dict[DeliveryId, datetime | None]:
        """
        Insert rows for results whose event is still ours and whose webhook is among `webhooks`.

        Returns when the next attempt of each stored result is due; None if there is none.
        `repeated`: some may be stored already, by a transaction whose end is not known.
        """
        if not batch:
            return {}
        by_event: dict[OpenEvent, list[AttemptResult]] = defaultdict(list)
        for result in batch:
            by_event[self._events.of(result.claim.delivery_id)].append(result)
        at, ours = await inbox_leases.lock(
            db, [each.leased for each in by_event], daemon_key=self._leasing.daemon_key
        )
        if at is None:
            return {}
        held = {id(each) for each in ours}
        new = [
            result
            for event, several in by_event.items()
            if id(event.leased) in held
            for result in several
            if result.claim.webhook_id in webhooks
        ]
        if repeated:
            known = await results.stored(db, [each.claim.delivery_id for each in new])
            new = [each for each in new if each.claim.delivery_id not in known]
        next_due = await results.insert_first(db, new, at=at, bare=bare)
        ended = [
            event.leased
            for event, several in by_event.items()
            if id(event.leased) in held and len(several) == event.unsettled
        ]
        await inbox_leases.remove(db, ended)
        return next_due
