"""Results that cannot be stored yet, because another transaction holds their row or webhook."""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from daemon.core.model.attempts import AttemptResult
from daemon.core.model.ids import WebhookId
from daemon.pipeline.first_results import FirstResults
from daemon.store import claims
from daemon.store.database import Database


class HeldResults:
    """Keeps results, and prolongs their leases, so that their attempts are not made again."""

    def __init__(
        self, database: Database, first_results: FirstResults, *, lease: timedelta
    ) -> None:
        self._database = database
        self._first_results = first_results
        self._lease = lease
        self._results: list[AttemptResult] = []
        self._prolonged_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._results)

    @property
    def webhook_ids(self) -> set[WebhookId]:
        """The webhooks of the results that are kept."""
        return {result.claim.webhook_id for result in self._results}

    def add(self, results: Iterable[AttemptResult]) -> None:
        """Keep these as well."""
        self._results.extend(results)

    def take(self) -> list[AttemptResult]:
        """Remove and return all, to be tried again."""
        results, self._results = self._results, []
        return results

    async def prolong(self) -> None:
        """Prolong the leases of all, a quarter of a lease after the last time."""
        now = time.monotonic()
        if now - self._prolonged_at < self._lease.total_seconds() / 4:
            return
        self._prolonged_at = now
        held = [result.claim for result in self._results]
        async with self._first_results.writing, self._database.connection() as db:
            # The leases of first attempts are those of their events.
            first = [claim for claim in held if claim.from_inbox]
            await self._first_results.prolong(db, first, lease=self._lease)
            claimed = [claim for claim in held if not claim.from_inbox]
            leases = await claims.prolong(db, claimed, lease=self._lease)
        for index, result in enumerate(self._results):
            if leased_until := leases.get(result.claim.delivery_id):
                claim = replace(result.claim, leased_until=leased_until)
                self._results[index] = replace(result, claim=claim)
