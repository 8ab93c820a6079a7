"""
Whether webhooks' secrets are sealed, and with which master keys.

The rule: a master key that is lost is an error; single rows that name a key which is no key of this
installation are their writer's, and warnings, and so is any number of them whose secrets are plain.
The text of a row proves nothing: the application may write any there.
"""

from collections.abc import AsyncIterator, Sequence

from daemon.cli.checks.finding import Finding, Status, error, ok, warning
from daemon.secrets.encryption import Vault
from daemon.store.secrets import (
    MARKS,
    OTHER_ORIGIN,
    UNREADABLE,
    count_by_key,
    count_sealed,
    of_other_keys,
)
from daemon.store.session import Connection

# So many rows, or more than there are usable ones, are no slips: a key is missing.
FEWEST_OF_LOST_KEY = 20
SEALED = "sealed:"  # of every version, see `secrets.encryption`


async def check_secrets(db: Connection, vault: Vault) -> AsyncIterator[Finding]:
    """Count the webhooks by the key that sealed their secrets."""
    by_key = await count_by_key(db, ["", *MARKS, *vault.key_ids])
    plain = by_key.pop("", 0)
    newest = by_key.pop(vault.newest, 0) if vault.newest is not None else 0
    older = sum(by_key.pop(key, 0) for key in vault.key_ids)
    other_origin, marked = by_key.pop(OTHER_ORIGIN, 0), by_key.pop(UNREADABLE, 0)
    unknown = by_key.get(None, 0)
    # The daemon marks rows only while it has keys.
    usable = ["", *vault.key_ids] if vault.newest is None else ["", *MARKS, *vault.key_ids]
    sealed = await count_sealed(db, but=usable, prefix=SEALED)
    is_lost = sealed >= FEWEST_OF_LOST_KEY or sealed > plain + newest + older
    if vault.newest is None:
        yield _without_keys(sealed if is_lost else 0)
    else:
        counts = f"{newest} sealed with the newest key, {older} with older keys, {plain} not sealed"
        yield ok("secrets", f"webhooks: {counts}")
        if other_origin:
            yield warning(
                "secrets",
                "some headers or certificates were set for another origin, and stay under the key"
                f" that sealed them (webhooks: {other_origin})",
            )
        if is_lost:
            yield error(
                "secrets",
                f"some secrets cannot be opened with security.master_keys (webhooks: {sealed})",
            )
    if not is_lost and unknown + marked:
        async for finding in _named(db, ["", OTHER_ORIGIN, *vault.key_ids], unknown + marked):
            yield finding


async def _named(db: Connection, key_ids: Sequence[str], count: int) -> AsyncIterator[Finding]:
    """Each of these webhooks, as far as there are few."""
    sentence = "its row names no key of security.master_keys: set its secret again"
    found = await of_other_keys(db, key_ids, limit=FEWEST_OF_LOST_KEY)
    for webhook_id, tenant_id in found:
        yield Finding(Status.WARNING, "secrets", sentence, str(tenant_id), str(webhook_id))
    if count > len(found):
        yield warning("secrets", f"the same of others (webhooks: {count - len(found)})")


def _without_keys(sealed: int) -> Finding:
    if sealed:
        return error(
            "secrets", f"security.master_keys is empty, but secrets are sealed (webhooks: {sealed})"
        )
    return warning("secrets", "security.master_keys is empty: secrets are stored unencrypted")
