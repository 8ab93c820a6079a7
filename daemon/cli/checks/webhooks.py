"""Checks of the webhooks' rows: URLs, filters, secrets."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from daemon.cli.checks.finding import Finding, Mark
from daemon.core.errors import UnreadableSecretError
from daemon.core.event_types import EVENT_TYPES, closest_event_type, matches_any_type
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.model.attempts import Failure
from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import Credentials
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import EgressPolicy, judge_url
from daemon.core.wire.signing import standard_key
from daemon.egress.tls_context import UnusableCertificateError, load_client, verifying_context
from daemon.logs import without_secrets
from daemon.secrets.credentials import credentials_of
from daemon.secrets.vault import Vault
from daemon.store.database import Connection
from daemon.store.secrets import WEBHOOKS, count_by_key, stored_secrets

# So many are named of those that may be many; the others are counted.
NAMED = 10


LONGEST_NAME = 100


async def on_secrets(db: Connection, vault: Vault) -> AsyncIterator[Finding]:
    """Under which master keys the webhooks' secrets lie."""
    by_key = await count_by_key(db)
    plain = by_key.pop("", 0)
    newest = by_key.pop(vault.newest, 0) if vault.newest is not None else 0
    older = sum(by_key.pop(key, 0) for key in vault.key_ids)
    unreadable = sum(by_key.values())
    if vault.newest is None:
        yield _without_keys(unreadable)
        return
    told = f"{newest} webhooks sealed under the newest key, {older} under older ones, {plain} plain"
    yield Finding(Mark.GOOD, "secrets", told)
    if unreadable:
        told = f"those of {unreadable} webhooks cannot be opened with security.master_keys"
        yield Finding(Mark.WRONG, "secrets", told)


def _without_keys(sealed: int) -> Finding:
    if sealed:
        told = f"those of {sealed} webhooks are sealed, and no security.master_keys are set"
        return Finding(Mark.WRONG, "secrets", told)
    told = "no security.master_keys are set: webhooks' secrets lie plain in the database"
    return Finding(Mark.REMARK, "secrets", told)


async def on_webhooks(db: Connection, policy: EgressPolicy, vault: Vault) -> AsyncIterator[Finding]:
    """Each webhook that is not in order, then how many there are."""
    active = paused = unfit = idle = 0
    async with db.transaction(readonly=True):
        async for row in db.cursor(WEBHOOKS, prefetch=1000):
            active, paused = active + row["is_active"], paused + (not row["is_active"])
            found = list(on_webhook(row, policy, vault))
            unfit += any(finding.mark is Mark.WRONG for finding in found)
            for finding in found:
                yield finding
            if row["is_active"] and takes_nothing(row["event_types"]):
                idle += 1
                if idle <= NAMED:
                    yield _about(row, Mark.REMARK, _idle(row["event_types"]))
    if idle > NAMED:
        told = f"{idle - NAMED} more take {NO_TYPE}"
        yield Finding(Mark.REMARK, "webhooks", told)
    counted = f"{active} active, {paused} paused"
    verdict = f"{unfit} cannot be delivered to" if unfit else "every active one is in order"
    yield Finding(Mark.WRONG if unfit else Mark.GOOD, "webhooks", f"{counted}; {verdict}")


def on_webhook(row: Any, policy: EgressPolicy, vault: Vault) -> Iterator[Finding]:
    """What would keep this webhook's deliveries from being made; of a paused one, a remark."""
    wrong = Mark.WRONG if row["is_active"] else Mark.REMARK
    judged = judge_url(row["endpoint_url"], policy)
    if isinstance(judged, Refusal):
        # Up to the query first: a URL as bad as this one may not look like one to its end.
        shown = without_secrets(row["endpoint_url"].partition("?")[0])
        yield _about(row, wrong, f"{shown}: {judged.reason}")
    yield from _on_credentials(row, vault, wrong)
    types = row["event_types"]
    matcher = compile_subscription(None if types is None else tuple(types), row["event_filters"])
    if isinstance(matcher, UnusableFilter):
        yield _about(row, wrong, f"no event matches: {matcher.reason}")


NO_TYPE = f"none of the {len(EVENT_TYPES)} event types"


def takes_nothing(names: Sequence[str | None] | None) -> bool:
    """Whether these name types, and none of ours; those of the application's own are not wrong."""
    return bool(names) and not any(name and matches_any_type(name) for name in names or ())


def _idle(names: Sequence[str | None]) -> str:
    first = next((name for name in names if name), "")[:LONGEST_NAME]
    near = closest_event_type(first)
    hint = f"; did you mean {near}?" if near else ""
    return f"it takes {NO_TYPE}, but {first}{hint}"


def _on_credentials(row: Any, vault: Vault, wrong: Mark) -> Iterator[Finding]:
    try:
        found = credentials_of(stored_secrets(WebhookId(row["id"]), row), vault)
        if isinstance(found, Credentials) and found.client is not None:
            load_client(verifying_context(), found.client)
    except (UnreadableSecretError, UnusableCertificateError) as error:
        yield _about(row, wrong, str(error))
        return
    if isinstance(found, Failure):
        yield _about(row, wrong, found.message)
    elif standard_key(found.secret) is None:
        told = "the secret is not base64 after whsec_: no Standard Webhooks headers are sent"
        yield _about(row, Mark.REMARK, told)


def _about(row: Any, mark: Mark, sentence: str) -> Finding:
    tenant_id, webhook_id = str(row["tenant_id"]), str(row["id"])
    paused = "" if row["is_active"] else " (paused)"
    told = f"{webhook_id} of tenant {tenant_id}{paused}: {sentence}"
    return Finding(mark, "webhook", told, tenant_id, webhook_id)
