"""Whether webhooks' secrets are sealed, and with which master keys."""

from collections.abc import AsyncIterator

from daemon.cli.checks.finding import Finding, error, ok, warning
from daemon.secrets.encryption import Vault
from daemon.store.secrets import OTHER_ORIGIN, count_by_key
from daemon.store.session import Connection


async def check_secrets(db: Connection, vault: Vault) -> AsyncIterator[Finding]:
    """Count the webhooks by the key that sealed their secrets."""
    by_key = await count_by_key(db, ["", OTHER_ORIGIN, *vault.key_ids])
    plain = by_key.pop("", 0)
    newest = by_key.pop(vault.newest, 0) if vault.newest is not None else 0
    older = sum(by_key.pop(key, 0) for key in vault.key_ids)
    other_origin = by_key.pop(OTHER_ORIGIN, 0)
    unreadable = by_key.get(None, 0)
    if vault.newest is None:
        yield _without_keys(unreadable + other_origin)
        return
    counts = f"{newest} sealed with the newest key, {older} with older keys, {plain} not sealed"
    yield ok("secrets", f"webhooks: {counts}")
    if other_origin:
        yield warning(
            "secrets",
            "some headers or certificates were set for another origin, and stay under the key that"
            f" sealed them (webhooks: {other_origin})",
        )
    if unreadable:
        yield error(
            "secrets",
            f"some secrets cannot be opened with security.master_keys (webhooks: {unreadable})",
        )


def _without_keys(sealed: int) -> Finding:
    if sealed:
        return error(
            "secrets", f"security.master_keys is empty, but secrets are sealed (webhooks: {sealed})"
        )
    return warning("secrets", "security.master_keys is empty: secrets are stored unencrypted")
