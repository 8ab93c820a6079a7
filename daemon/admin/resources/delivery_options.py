"""How a webhook's deliveries are made: taken from a request, merged with what is stored, stored."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from daemon.admin.api.problems import invalid_member
from daemon.config import parse_duration
from daemon.core.model.delivery_options import DeliveryOptions
from daemon.core.model.webhooks import WebhookEntry
from daemon.store.delivery_options import set_options
from daemon.store.session import Connection

MEMBERS = frozenset(
    {"timeout", "max_per_second", "max_in_flight", "retry_schedule", "client_errors_final"}
)


def changed_options(
    given: Mapping[str, Any],
    stored: DeliveryOptions,
    *,
    schedules: Collection[str],
) -> DeliveryOptions | None:
    """
    Return the stored options with the members that were given; None if none of them is.

    Raises Problem (422) for a schedule that is not one of the configured `schedules`.
    """
    changes = {name: value for name, value in given.items() if name in MEMBERS}
    if not changes:
        return None
    name = changes.get("retry_schedule")
    if name is not None and name not in schedules:
        known = ", ".join(sorted(schedules)) or "none"
        raise invalid_member("retrySchedule", f"{name} is not a configured schedule ({known})")
    if "timeout" in changes:
        changes["timeout_ms"] = _milliseconds(changes.pop("timeout"))
    return replace(stored, **changes)


async def store_options(
    db: Connection,
    webhook: WebhookEntry,
    given: Mapping[str, Any],
    *,
    schedules: Collection[str],
) -> WebhookEntry:
    """
    Store the options that are given for a webhook that is locked or new; return it with them.

    Raises Problem as `changed_options` does.
    """
    options = changed_options(given, webhook.options, schedules=schedules)
    if options is None:
        return webhook
    await set_options(db, webhook.id, options)
    return replace(webhook, options=options)


def _milliseconds(timeout: str | None) -> int | None:
    return None if timeout is None else parse_duration(timeout) // timedelta(milliseconds=1)
