"""
The resealing loop: seals plain secrets, reseals those of older keys with the newest key, and
removes previous secrets whose overlap has ended. What earlier versions sealed without an origin it
binds to that of the webhook's URL, before all else.

Secrets of older keys are resealed once after each change of the keys, not continuously: two daemons
in the middle of such a change may disagree about which key is the newest, and would otherwise
reseal each other's secrets for ever.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf

import structlog

from daemon.core.errors import StatementError
from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.maintenance.unmarking import Unmarking
from daemon.runtime.metrics import Metrics
from daemon.secrets.encryption import Vault
from daemon.secrets.sealing import seal_secrets
from daemon.store import secrets, unbound_secrets
from daemon.store.database import Database
from daemon.store.secrets import LONGEST_STORED, OTHER_ORIGIN, UNREADABLE, LockedSecrets
from daemon.store.session import Connection

log = structlog.get_logger()

BATCH_SIZE = 100
REST_SECONDS = 1.0
# Previous secrets, which no attempt uses any more, are removed every so many rounds.
ROUNDS_PER_REMOVAL = 15
# Secrets are counted for the metrics every so many rounds: a multiple of the former.
ROUNDS_PER_COUNT = 60
# Rounds after a change of keys that still search for rows which others had locked: one minute.
MAX_LOCKED_ROW_ROUNDS = 60
PLAIN = ""
# Attempts that read secrets before they were bound have begun, or are read again.
BEGUN_SECONDS = 2.0
MOST_NAMED = 10  # key ids that are not configured: the application may write any


class Resealer:
    """The loop; call `keys_changed` after the vault has been given other keys."""

    name = "resealing"

    def __init__(self, database: Database, vault: Vault, *, metrics: Metrics) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._vault = vault
        self._metrics = metrics
        self._keys_changed = True
        self._resealing_older = True
        self._rounds = 0
        self._locked_row_rounds = 0
        self._refused: set[WebhookId] = set()
        self._bound_at = -inf
        self._unmarking = Unmarking(database)

    def keys_changed(self) -> None:
        """Reseal the secrets of older keys once more, starting now."""
        self._keys_changed = True
        self.wake.set()

    async def run_once(self) -> float:
        """Process one batch; returns the seconds to rest."""
        if self._keys_changed:
            self._restart()
        if await self._unmarking.run_once():
            return 0.0
        newest = self._vault.newest
        if newest is not None:
            bound = await self._bind_batch() if self._vault.binding_pending else 0
            if bound or await self._seal_batch(newest) == BATCH_SIZE:
                return 0.0
        if self._rounds % ROUNDS_PER_REMOVAL == 0:
            async with self._database.connection() as db:
                if await secrets.remove_expired(db, limit=BATCH_SIZE) == BATCH_SIZE:
                    return 0.0
                if self._rounds % ROUNDS_PER_COUNT == 0:
                    await self._report(db)
        # Without a key there is nothing to seal.
        rounds = 1 if newest is not None else ROUNDS_PER_REMOVAL
        self._rounds += rounds
        return rounds * REST_SECONDS

    def _restart(self) -> None:
        self._keys_changed = False
        self._resealing_older = True
        self._rounds = self._locked_row_rounds = 0
        self._refused.clear()
        self._unmarking.begin()

    async def _bind_batch(self) -> int:
        """Bind some secrets that earlier versions sealed; returns the number of webhooks."""
        async with self._database.transaction() as db:
            found = await unbound_secrets.lock(db, limit=BATCH_SIZE)
            await self._reseal(db, found)
            now = time.monotonic()
            if found:
                self._bound_at = now
            elif now - self._bound_at >= BEGUN_SECONDS:
                self._vault.binding_pending = await unbound_secrets.any_waiting(db)
        return len(found)

    async def _seal_batch(self, newest: str) -> int:
        """Seal some secrets with the newest key; returns the number of webhooks found."""
        older = [key for key in self._vault.key_ids if key != newest]
        keys = [PLAIN, *older] if self._resealing_older else [PLAIN]
        try:
            count = await self._seal_together(keys)
        except StatementError:
            return await self._seal_one_by_one(keys)
        if self._resealing_older and count < BATCH_SIZE:
            async with self._database.connection() as db:
                self._resealing_older = await self._any_locked(db, older)
        return count

    async def _seal_together(self, keys: Sequence[str]) -> int:
        async with self._database.transaction() as db:
            found = await secrets.lock_sealed_with(db, keys, limit=BATCH_SIZE, but=self._refused)
            await self._reseal(db, found)
        return len(found)

    async def _seal_one_by_one(self, keys: Sequence[str]) -> int:
        """Seal the secrets of a batch in which PostgreSQL refuses one row; it stops no other."""
        async with self._database.connection() as db:
            ids = await secrets.find_sealed_with(db, keys, limit=BATCH_SIZE, but=self._refused)
        for webhook_id in ids:
            try:
                async with self._database.transaction() as db:
                    await self._reseal(db, await secrets.lock_one_sealed_with(db, keys, webhook_id))
            except StatementError:
                log.exception("secret.not_sealed", webhook_id=str(webhook_id))
                self._refused.add(webhook_id)
        return len(ids)

    async def _reseal(self, db: Connection, found: Sequence[LockedSecrets]) -> None:
        """Write the secrets of locked rows back, as far as they can be opened."""
        if not found:
            return
        resealed = [_resealed(each, self._vault) for each in found]
        await secrets.write(db, resealed)
        bound = [
            after.webhook_id
            for before, after in zip(found, resealed, strict=True)
            if before.unbound_url is not None and after.sealed_with != UNREADABLE
        ]
        if bound:
            await unbound_secrets.remove(db, bound)
        log.info("secrets.sealed", count=len(found), key=self._vault.newest)

    async def _any_locked(self, db: Connection, older: Sequence[str]) -> bool:
        """
        Whether secrets of older keys remain because other transactions lock their rows.

        Gives up after a minute: a daemon that knows the keys in another order would reseal them
        with the older key each time.
        """
        self._locked_row_rounds += 1
        return self._locked_row_rounds < MAX_LOCKED_ROW_ROUNDS and await secrets.any_sealed_with(
            db, older
        )

    async def _report(self, db: Connection) -> None:
        known = [PLAIN, OTHER_ORIGIN, *self._vault.key_ids]
        by_key = await secrets.count_by_key(db, known)
        unreadable = by_key.get(None, 0)
        self._metrics.maintenance.webhooks_unsealed.set(by_key.get(PLAIN, 0))
        self._metrics.maintenance.webhooks_unreadable.set(unreadable)
        if unreadable:
            unknown = await secrets.other_keys(db, known, limit=MOST_NAMED)
            log.error("secrets.unreadable", webhooks=unreadable, keys=unknown)


def _resealed(locked: LockedSecrets, vault: Vault) -> StoredSecrets:
    """Sealed with the newest key; marked if any value had to stay as it was."""
    sealed = seal_secrets(locked.stored, vault, unbound_url=locked.unbound_url)
    result = sealed.secrets
    reasons = sorted({str(failure) for failure in sealed.failures})
    if max(len(result.current), len(result.previous or "")) > LONGEST_STORED:
        plain = locked.stored
        result = replace(result, current=plain.current, previous=plain.previous)
        reasons = [f"sealed, a secret would be longer than {LONGEST_STORED} characters"]
    if not reasons:
        return replace(result, sealed_with=OTHER_ORIGIN) if sealed.has_mismatches else result
    log.warning("secret.unreadable", webhook_id=str(result.webhook_id), reason="; ".join(reasons))
    return replace(result, sealed_with=UNREADABLE)
