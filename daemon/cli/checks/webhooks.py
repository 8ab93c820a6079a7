"""Whether each webhook can be delivered to: its URL, filter, event types and credentials."""

from collections.abc import AsyncIterator, Container, Iterator, Sequence
from dataclasses import replace

from daemon.cli.checks.finding import Finding, Status, ok, warning
from daemon.core.errors import UnboundSecretError, UnreadableSecretError
from daemon.core.event_types import (
    EVENT_TYPE_NAMES,
    EVENT_TYPES,
    closest_event_type,
    matches_any_type,
)
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.coverage import reason_for_no_match
from daemon.core.matching.type_names import listed_types, reason_against
from daemon.core.model.attempts import Failure
from daemon.core.model.operational_events import WebhookScope
from daemon.core.model.secrets import Credentials
from daemon.core.model.webhook_inspection import InspectedWebhook
from daemon.core.operational_event_types import NOT_BY_OPERATOR, described, names_for_scope
from daemon.core.policy.delivery_options import odd_options
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import judge_url
from daemon.core.unprintable import escape
from daemon.core.wire.signing import standard_key
from daemon.egress.client_certificate import UnusableCertificateError
from daemon.egress.tls_context import load_client, verifying_context
from daemon.logs import without_secrets
from daemon.secrets.bound_values import members_to_set_again
from daemon.secrets.credentials import open_credentials
from daemon.secrets.encryption import Vault
from daemon.store.session import Connection
from daemon.store.webhook_inspection import every_webhook

# Webhooks without a known event type may be many: the first are named, the others counted.
MOST_NAMED = 10
LONGEST_NAME = 100
NO_KNOWN_TYPE = f"none of the {len(EVENT_TYPES)} event types"


async def check_webhooks(
    db: Connection, policy: EgressPolicy, vault: Vault, *, schedules: Container[str]
) -> AsyncIterator[Finding]:
    """
    The faults of each webhook, then how many webhooks there are.

    `schedules` are the names of the configured retry schedules.
    """
    active = paused = undeliverable = doubtful = without_type = 0
    async for webhook in every_webhook(db):
        active, paused = active + webhook.is_active, paused + (not webhook.is_active)
        findings = list(check_webhook(webhook, policy, vault))
        findings += [
            _about(webhook, Status.WARNING, sentence)
            for sentence in odd_options(webhook.options, schedules)
        ]
        undeliverable += any(finding.status is Status.ERROR for finding in findings)
        doubtful += webhook.is_active and bool(findings)
        for finding in findings:
            yield replace(finding, status=Status.WARNING)  # the daemon works for all others
        known = names_for_scope(webhook.scope)
        if webhook.is_active and has_no_known_type(webhook.event_types, known):
            without_type += 1
            if without_type <= MOST_NAMED:
                sentence = _no_known_type(webhook.event_types or (), known)
                yield _about(webhook, Status.WARNING, sentence)
    if without_type > MOST_NAMED:
        more = without_type - MOST_NAMED
        yield warning("webhooks", f"{more} more subscribe to {NO_KNOWN_TYPE}")
    counted = f"{active} active, {paused} paused"
    if undeliverable:
        yield warning("webhooks", f"{counted}; {undeliverable} cannot be delivered to")
    elif doubtful:
        yield ok("webhooks", f"{counted}; {doubtful} with warnings")
    else:
        yield ok("webhooks", f"{counted}; every active one can be delivered to")


def check_webhook(
    webhook: InspectedWebhook, policy: EgressPolicy, vault: Vault
) -> Iterator[Finding]:
    """Whatever would keep deliveries from being made: an error, or a warning if it is paused."""
    status = Status.ERROR if webhook.is_active else Status.WARNING
    judged = judge_url(webhook.endpoint_url, policy)
    if isinstance(judged, Refusal):
        # Without the query first: `without_secrets` may not recognise so bad a URL as one.
        shown = without_secrets(webhook.endpoint_url.partition("?")[0])
        yield _about(webhook, status, f"{shown}: {judged.reason}")
    yield from _check_credentials(webhook, vault, status)
    matcher = compile_subscription(webhook.event_types, webhook.event_filters)
    if isinstance(matcher, UnusableFilter):
        yield _about(webhook, status, f"no event matches: {matcher.reason}")
    elif (reason := reason_for_no_match(matcher)) is not None:
        yield _about(webhook, Status.WARNING, f"no event matches: {reason}")
    if webhook.scope not in list(WebhookScope):
        sentence = f"no event matches: the scope {escape(webhook.scope)} is none that there is"
        yield _about(webhook, Status.WARNING, sentence)
    if webhook.is_unmarked:
        yield _about(webhook, Status.WARNING, f"scope: {NOT_BY_OPERATOR}")
    yield from _malformed_types(webhook)


def _malformed_types(webhook: InspectedWebhook) -> Iterator[Finding]:
    """Names that the API would refuse, of which the first is shown."""
    for member, names in listed_types(webhook.event_types, webhook.event_filters).items():
        malformed = [(name, reason) for name in names if (reason := reason_against(name))]
        if malformed:
            name, reason = malformed[0]
            more = f" ({len(malformed)} are like this)" if len(malformed) > 1 else ""
            sentence = f'{member}: "{name[:LONGEST_NAME]}" {reason}{more}'
            yield _about(webhook, Status.WARNING, sentence)


def has_no_known_type(
    names: Sequence[str | None] | None, known: tuple[str, ...] = EVENT_TYPE_NAMES
) -> bool:
    """
    Whether `names` are given and none of them is one of the `known` event types.

    Beside one of ours, the application's own types are no mistake. An array of several dimensions
    matches nothing, and is reported as such.
    """
    if not names or isinstance(names[0], list):
        return False
    return not any(name and matches_any_type(name, known) for name in names)


def _no_known_type(names: Sequence[str | None], known: tuple[str, ...]) -> str:
    first = next((name for name in names if name), "")[:LONGEST_NAME]
    closest = closest_event_type(first, known)
    hint = f"; did you mean {closest}?" if closest else ""
    return f"subscribes to none of the {described(known)}, but to {first}{hint}"


def _check_credentials(
    webhook: InspectedWebhook, vault: Vault, status: Status
) -> Iterator[Finding]:
    try:
        credentials = open_credentials(webhook.secrets, vault)
        set_again = members_to_set_again(webhook.secrets, vault)
        if isinstance(credentials, Credentials) and credentials.client is not None:
            load_client(verifying_context(), credentials.client)
    except UnboundSecretError as failure:  # a running daemon binds it
        yield _about(webhook, Status.WARNING, str(failure))
        return
    except (UnreadableSecretError, UnusableCertificateError) as failure:
        yield _about(webhook, status, str(failure))
        return
    if isinstance(credentials, Failure):
        yield _about(webhook, Status.WARNING if set_again else status, credentials.message)
    elif standard_key(credentials.secret) is None:
        yield _about(
            webhook,
            Status.WARNING,
            "the secret is not base64 after whsec_: no Standard Webhooks headers are sent",
        )


def _about(webhook: InspectedWebhook, status: Status, sentence: str) -> Finding:
    tenant_id, webhook_id = str(webhook.tenant_id), str(webhook.id)
    paused = "" if webhook.is_active else " (paused)"
    message = f"{webhook_id} of tenant {tenant_id}{paused}: {sentence}"
    return Finding(status, "webhook", message, tenant_id, webhook_id)
