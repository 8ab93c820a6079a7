"""
Gives claims back whose attempts could not begin or end: their leases need not lapse.

The rule: what cannot be given back in time is left to its lease.
"""

import asyncio
from datetime import timedelta

import structlog

from daemon.core.errors import DatabaseUnavailableError
from daemon.core.model.attempts import Claim
from daemon.pipeline.first_attempts import FirstAttempts
from daemon.pipeline.postponements import Postponements
from daemon.store import claim_leases
from daemon.store.database import Database

log = structlog.get_logger()

GIVE_BACK_TIME = timedelta(seconds=2)


class ReturnedClaims:
    """Claims that wait to be given back, of rows and of events in the inbox."""

    def __init__(
        self, database: Database, first_attempts: FirstAttempts, postponements: Postponements
    ) -> None:
        self._database = database
        self._first_attempts = first_attempts
        self._postponements = postponements
        self._claims: list[Claim] = []

    def add(self, claim: Claim) -> None:
        """Let a claim be given back with the next ones."""
        self._claims.append(claim)

    async def give_back(self, *, stopping: bool) -> None:
        """Give back all; when `stopping`, no loop will store what is put off."""
        if not self._claims:
            return
        returned, self._claims = self._claims, []
        renamed = self._first_attempts.put_off(each for each in returned if each.from_inbox)
        self._postponements.renamed(renamed)
        returned = [each for each in returned if not each.from_inbox]
        try:
            async with asyncio.timeout(GIVE_BACK_TIME.total_seconds()):
                if stopping:  # else the loop of first attempts stores them
                    await self._first_attempts.store_put_off()
                if returned:
                    async with self._database.transaction() as db:
                        await claim_leases.release(db, returned)
        except (TimeoutError, DatabaseUnavailableError):
            log.warning("dispatcher.leases_left", count=len(returned))  # they lapse by themselves
