"""
The custodian: seals secrets that lie plain, moves what lies under an older key to the newest, and
removes previous secrets when their overlap has ended.

What lies under an older key is moved once after each change of the keys. Two daemons in the midst
of such a change, each with another newest key, would otherwise take it from each other for ever.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from daemon.core.errors import UnreadableSecretError
from daemon.core.model.secrets import StoredSecrets
from daemon.runtime.metrics import Metrics
from daemon.secrets.sealing import seal_secrets
from daemon.secrets.vault import Vault
from daemon.store import secrets
from daemon.store.database import Database
from daemon.store.secrets import LONGEST_STORED, UNREADABLE
from daemon.store.session import Connection

log = structlog.get_logger()

AT_ONCE = 100
REST_SECONDS = 1.0
COUNTED_EVERY_TURNS = 60
# Turns that look for what others held when all was moved: a minute of them.
MOST_GLEANINGS = 60
PLAIN = ""


class Resealer:
    """The loop; call `keys_changed` when the vault was given other keys."""

    name = "custodian"

    def __init__(self, database: Database, vault: Vault, *, metrics: Metrics) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._vault = vault
        self._metrics = metrics
        self._turns = 0
        self._moving = True
        self._gleanings = 0
        self._new_keys = True

    def keys_changed(self) -> None:
        self._new_keys = True
        self.wake.set()

    async def run_once(self) -> float:
        if self._new_keys:
            self._new_keys, self._moving, self._turns, self._gleanings = False, True, 0, 0
            async with self._database.transaction() as db:
                await secrets.try_unreadable_again(db)
        if self._vault.newest is not None and await self._seal(self._vault.newest) == AT_ONCE:
            return 0.0
        async with self._database.transaction() as db:
            await secrets.forget_expired(db)
            if self._turns % COUNTED_EVERY_TURNS == 0:
                await self._count(await secrets.count_by_key(db))
        self._turns += 1
        return REST_SECONDS

    async def _seal(self, newest: str) -> int:
        """Seal some of what is not under the newest key; how many were looked at."""
        older = [key for key in self._vault.key_ids if key != newest]
        async with self._database.transaction() as db:
            found = await secrets.lock_sealed_with(
                db, [PLAIN, *older] if self._moving else [PLAIN], limit=AT_ONCE
            )
            if found:
                await secrets.write(db, [_sealed(each, self._vault) for each in found])
            if self._moving and len(found) < AT_ONCE:
                self._moving = await self._left_behind(db, older)
        if found:
            log.info("secrets.sealed", count=len(found), key=newest)
        return len(found)

    async def _left_behind(self, db: Connection, older: Sequence[str]) -> bool:
        """
        Whether some lie under older keys still, held by others just now.

        Not for ever: a daemon that knows the keys in another order would move them back each time.
        """
        self._gleanings += 1
        return self._gleanings < MOST_GLEANINGS and await secrets.any_sealed_with(db, older)

    async def _count(self, by_key: dict[str, int]) -> None:
        known = {PLAIN, *self._vault.key_ids}
        unreadable = sum(count for key, count in by_key.items() if key not in known)
        self._metrics.maintenance.webhooks_unsealed.set(by_key.get(PLAIN, 0))
        self._metrics.maintenance.webhooks_unreadable.set(unreadable)
        if unreadable:
            log.error("secrets.unreadable", webhooks=unreadable, keys=_strange(by_key, known))


def _sealed(stored: StoredSecrets, vault: Vault) -> StoredSecrets:
    """All of it under the newest key; or as it was, marked, when any of it cannot be."""
    try:
        moved = seal_secrets(stored, vault)
    except UnreadableSecretError as error:
        reason = str(error)
    else:
        if max(len(moved.current), len(moved.previous or "")) <= LONGEST_STORED:
            return moved
        reason = f"sealed, a secret would be longer than {LONGEST_STORED} characters"
    log.warning("secret.unreadable", webhook_id=str(stored.webhook_id), reason=reason)
    return replace(stored, sealed_with=UNREADABLE)


def _strange(by_key: dict[str, int], known: set[str]) -> Sequence[str]:
    return sorted(set(by_key) - known)
