"""Webhooks in responses, without their secrets."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from daemon.admin import schemas
from daemon.admin.views.delivery_options import option_members
from daemon.admin.views.json_text import json_fragment
from daemon.admin.views.kept_warnings import KeptWarnings
from daemon.core.errors import UnreadableSecretError
from daemon.core.event_types import closest_event_type, matches_any_type
from daemon.core.matching.compiler import compile_subscription
from daemon.core.matching.coverage import reason_for_no_match
from daemon.core.matching.type_names import (
    LONGEST_NAME,
    listed_types,
    reason_against,
    strings_in,
)
from daemon.core.model.ids import WebhookId
from daemon.core.model.operational_events import WebhookScope
from daemon.core.model.secrets import HIDDEN, StoredSecrets
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.core.operational_event_types import NOT_BY_OPERATOR, described, names_for_scope
from daemon.core.policy.delivery_options import odd_options
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.mail_recipients import AllowedRecipients, needs_confirmation
from daemon.core.unprintable import escape, escape_lines
from daemon.runtime.time_slice import TimeSlice
from daemon.secrets.bound_values import members_to_set_again
from daemon.secrets.custom_headers import parse_custom_headers
from daemon.secrets.encryption import Vault

UNCONFIRMED = (
    "notificationEmail: its owner has not confirmed the address; until then the operators get the"
    " notices"
)


MOST_SUGGESTIONS = 3  # of one webhook
MOST_WARNINGS = 512 * 1024  # characters of all webhooks of a page
_listed_warnings = KeptWarnings()
NO_STATS: Mapping[WebhookId, schemas.StatsSummary] = MappingProxyType({})


def webhook_response(
    webhook: WebhookEntry,
    vault: Vault,
    allowed: AllowedRecipients,
    *,
    schedules: Container[str],
) -> schemas.Webhook:
    """
    Show a webhook; header values are hidden.

    `allowed` addresses need no confirmation; `schedules` are the names of configured ones.
    """
    return schemas.Webhook(**_members(webhook, vault, allowed, schedules))


async def webhooks_response(
    webhooks: Sequence[WebhookEntry],
    vault: Vault,
    allowed: AllowedRecipients,
    *,
    schedules: Container[str],
    stats: Mapping[WebhookId, schemas.StatsSummary] = NO_STATS,
    more_follow: bool = False,
) -> schemas.WebhookList:
    """
    Show webhooks as `webhook_response` does, but without suggestions in their warnings.

    The page ends behind the webhook with which the warnings become too long, which are many times
    as long as the settings that they are about.
    """
    shown, time_slice = list[schemas.ListedWebhook](), TimeSlice(patient=True)
    left = MOST_WARNINGS
    for each in webhooks:
        if left <= 0:
            break
        members = _members(each, vault, allowed, schedules, warnings_of=_listed_type_warnings)
        left -= sum(map(len, members["warnings"]))
        shown.append(schemas.ListedWebhook(**members, stats=stats.get(each.id)))
        await time_slice.yield_if_used()
    more_follow = more_follow or len(shown) < len(webhooks)
    return schemas.WebhookList(webhooks=shown, next=str(shown[-1].id) if more_follow else None)


def created_webhook_response(
    webhook: WebhookEntry,
    vault: Vault,
    allowed: AllowedRecipients,
    *,
    schedules: Container[str],
    secret: str,
) -> schemas.CreatedWebhook:
    """Show a new webhook and, this once, its secret."""
    members = _members(webhook, vault, allowed, schedules)
    return schemas.CreatedWebhook(**members, secret_key=secret)


def _members(
    webhook: WebhookEntry,
    vault: Vault,
    allowed: AllowedRecipients,
    schedules: Container[str],
    *,
    warnings_of: Callable[[WebhookSettings, str], Iterable[str]] | None = None,
) -> dict[str, Any]:
    settings, secrets = webhook.settings, webhook.secrets
    confirmed = _email_confirmed(webhook, allowed)
    return {
        "id": webhook.id,
        "tenant_id": webhook.tenant_id,
        # The application may write characters that the API refuses.
        "name": escape(settings.name),
        "description": settings.description and escape_lines(settings.description),
        "endpoint_url": settings.endpoint_url,
        "event_types": None if settings.event_types is None else strings_in(settings.event_types),
        "event_filters": json_fragment(settings.event_filters),
        "filter_error": webhook.filter_error and escape(webhook.filter_error),
        "scope": escape(webhook.scope),
        **_health_members(webhook),
        "custom_headers": _hidden_headers(secrets.custom_headers),
        "has_client_certificate": secrets.client_certificate is not None,
        "notification_email": settings.notification_email,
        "notification_email_confirmed": confirmed,
        **option_members(webhook.options),
        "previous_secret_expires_at": webhook.previous_secret_expires_at,
        "created_at": webhook.created_at,
        "updated_at": webhook.updated_at,
        "warnings": [
            *([UNCONFIRMED] if confirmed is False else []),
            *_origin_warnings(secrets, vault),
            *odd_options(webhook.options, schedules),
            *_scope_warnings(webhook),
            *(warnings_of or type_warnings)(settings, webhook.scope),
        ],
    }


def _health_members(webhook: WebhookEntry) -> dict[str, Any]:
    return {
        "is_active": webhook.is_active,
        "is_failing": webhook.is_failing,
        "state": webhook.state.value,
        "failing_since": webhook.failing_since,
        "failed_probes": webhook.failed_probes,
        "consecutive_failures": webhook.consecutive_failures,
        "next_probe_at": webhook.next_probe_at,
        "paused_reason": webhook.paused_reason,
        "last_success_at": webhook.last_success_at,
        "last_failure_at": webhook.last_failure_at,
    }


def _email_confirmed(webhook: WebhookEntry, allowed: AllowedRecipients) -> bool | None:
    """Whether notices go to the webhook's address; None when it has none that can be mailed."""
    try:
        address = parse_address(webhook.settings.notification_email or "")
    except ValueError:
        return None
    return not needs_confirmation(address, webhook.unconfirmed_email) or allowed.allow(address)


def _origin_warnings(secrets: StoredSecrets, vault: Vault) -> list[str]:
    """Name what was set for another origin, because the application moved the URL."""
    try:
        members = members_to_set_again(secrets, vault)
    except UnreadableSecretError:
        return []  # a fault of ours: its owner can do nothing about it
    return [f"{member}: {sentence}" for member, sentence in members.items()]


def _scope_warnings(webhook: WebhookEntry) -> Iterator[str]:
    scope = webhook.scope
    if scope not in list(WebhookScope):
        yield f"scope: {escape(scope)} is none of {', '.join(WebhookScope)}: no event matches"
    if webhook.is_unmarked:
        yield f"scope: {NOT_BY_OPERATOR}"


def type_warnings(
    settings: WebhookSettings, scope: str, *, suggestions: int = MOST_SUGGESTIONS
) -> Iterator[str]:
    """
    Say why no event can match, if so, and name the unknown event types.

    Those are typing errors, or types of the application's own; malformed names only it can write.
    """
    matcher = compile_subscription(settings.event_types, settings.event_filters)
    if (reason := reason_for_no_match(matcher)) is not None:
        yield f"matches nothing: {escape(reason)}"
    known = names_for_scope(scope)
    for at, (member, name) in enumerate(_unknown_types(settings, known)):
        shown = escape(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…")
        if len(name) <= LONGEST_NAME and (reason := reason_against(name)) is not None:
            yield f'{member}: "{shown}" {reason}'
            continue
        similar = closest_event_type(name, known) if at < suggestions else None
        hint = f"; did you mean {similar}?" if similar else ""
        yield f"{member}: {shown} is none of the {described(known)}{hint}"


def _listed_type_warnings(settings: WebhookSettings, scope: str) -> Iterable[str]:
    source = (settings.event_types, settings.event_filters, scope)
    return _listed_warnings.get(source, lambda: type_warnings(settings, scope, suggestions=0))


def _unknown_types(settings: WebhookSettings, known: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for member, names in listed_types(settings.event_types, settings.event_filters).items():
        for name in names:
            if not matches_any_type(name, known):
                yield member, name


def _hidden_headers(custom_headers: str | None) -> dict[str, str] | None:
    headers = None if custom_headers is None else parse_custom_headers(custom_headers)
    return None if headers is None else dict.fromkeys(headers, HIDDEN)
