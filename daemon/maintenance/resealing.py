"""
The resealing loop: seals plain secrets, reseals those of older keys with the newest key, and
removes previous secrets whose overlap has ended.

Secrets of older keys are resealed once after each change of the keys, not continuously: two daemons
in the middle of such a change may disagree about which key is the newest, and would otherwise
reseal each other's secrets for ever.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from daemon.core.errors import UnreadableSecretError
from daemon.core.model.secrets import StoredSecrets
from daemon.runtime.metrics import Metrics
from daemon.secrets.encryption import Vault
from daemon.secrets.sealing import seal_secrets
from daemon.store import secrets
from daemon.store.database import Database
from daemon.store.secrets import LONGEST_STORED, UNREADABLE
from daemon.store.session import Connection

log = structlog.get_logger()

BATCH_SIZE = 100
REST_SECONDS = 1.0
# Secrets are counted for the metrics every so many rounds.
ROUNDS_PER_COUNT = 60
# Rounds after a change of keys that still search for rows which others had locked: one minute.
MAX_LOCKED_ROW_ROUNDS = 60
PLAIN = ""


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

    def keys_changed(self) -> None:
        """Reseal the secrets of older keys once more, starting now."""
        self._keys_changed = True
        self.wake.set()

    async def run_once(self) -> float:
        """Process one batch; returns the seconds to rest."""
        if self._keys_changed:
            await self._restart()
        newest = self._vault.newest
        if newest is not None and await self._seal_batch(newest) == BATCH_SIZE:
            return 0.0
        async with self._database.transaction() as db:
            await secrets.remove_expired(db)
            if self._rounds % ROUNDS_PER_COUNT == 0:
                self._report(await secrets.count_by_key(db))
        self._rounds += 1
        return REST_SECONDS

    async def _restart(self) -> None:
        self._keys_changed = False
        self._resealing_older = True
        self._rounds = self._locked_row_rounds = 0
        async with self._database.transaction() as db:
            await secrets.try_unreadable_again(db)

    async def _seal_batch(self, newest: str) -> int:
        """Seal some secrets with the newest key; returns the number of webhooks found."""
        older = [key for key in self._vault.key_ids if key != newest]
        async with self._database.transaction() as db:
            found = await secrets.lock_sealed_with(
                db, [PLAIN, *older] if self._resealing_older else [PLAIN], limit=BATCH_SIZE
            )
            if found:
                await secrets.write(db, [_resealed(each, self._vault) for each in found])
            if self._resealing_older and len(found) < BATCH_SIZE:
                self._resealing_older = await self._any_locked(db, older)
        if found:
            log.info("secrets.sealed", count=len(found), key=newest)
        return len(found)

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

    def _report(self, by_key: dict[str, int]) -> None:
        known = {PLAIN, *self._vault.key_ids}
        unknown = sorted(set(by_key) - known)
        unreadable = sum(by_key[key] for key in unknown)
        self._metrics.maintenance.webhooks_unsealed.set(by_key.get(PLAIN, 0))
        self._metrics.maintenance.webhooks_unreadable.set(unreadable)
        if unreadable:
            log.error("secrets.unreadable", webhooks=unreadable, keys=unknown)


def _resealed(stored: StoredSecrets, vault: Vault) -> StoredSecrets:
    """Sealed with the newest key; or unchanged and marked `UNREADABLE` if any secret cannot be."""
    try:
        result = seal_secrets(stored, vault)
    except UnreadableSecretError as error:
        reason = str(error)
    else:
        if max(len(result.current), len(result.previous or "")) <= LONGEST_STORED:
            return result
        reason = f"sealed, a secret would be longer than {LONGEST_STORED} characters"
    log.warning("secret.unreadable", webhook_id=str(stored.webhook_id), reason=reason)
    return replace(stored, sealed_with=UNREADABLE)
