"""
A webhook that exists as long as a local receiver runs.

The rule: it is removed with its deliveries however the receiver ends, and if it cannot be removed,
the error names it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.ids import TenantId, WebhookId
    from daemon.store.session import Connection

NAME = "webhookd listen"
BATCH_SIZE = 2000  # deliveries per statement


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered webhook."""

    webhook_id: "WebhookId"
    tenant_id: "TenantId"


@asynccontextmanager
async def registered(
    config: "Config", url: str, secret: str, *, tenant: UUID | None
) -> AsyncIterator[Registration]:
    """
    A webhook for all events of a tenant, which calls `url`; removed at the end of the block.

    Raises UsageError for a URL that the daemon would refuse, and what `verified_connection` raises.
    """
    _check(config, url)
    registration = await _register(config, url, secret, tenant)
    try:
        yield registration
    finally:
        try:
            await _remove(config, registration)
        except WebhookdError as error:
            raise WebhookdError(
                f"webhook {registration.webhook_id} of tenant {registration.tenant_id} was not"
                f" removed: {error}"
            ) from error


def _check(config: "Config", url: str) -> None:
    from daemon.config.policies import egress_policy
    from daemon.core.policy.refusal import Refusal
    from daemon.core.policy.urls import judge_url

    judged = judge_url(url, egress_policy(config))
    if isinstance(judged, Refusal):
        raise UsageError(
            f"--register: the daemon would not call {url}: {judged.reason}. What it may call on"
            " this machine is set by egress.allow_http, allow_networks and allow_ports"
        )


async def _register(config: "Config", url: str, secret: str, tenant: UUID | None) -> Registration:
    from daemon.cli.support.databases import verified_connection
    from daemon.cli.support.tenants import tenant_of_command
    from daemon.config.policies import master_keys
    from daemon.core.model.ids import WebhookId
    from daemon.core.model.secrets import StoredSecrets
    from daemon.core.model.webhooks import WebhookSettings
    from daemon.secrets.encryption import Vault
    from daemon.secrets.sealing import seal_secrets
    from daemon.store import webhooks

    plain = StoredSecrets(WebhookId(uuid4()), secret, endpoint_url=url)
    sealed = seal_secrets(plain, Vault(master_keys(config))).secrets
    settings = WebhookSettings(
        name=NAME,
        description=None,
        endpoint_url=url,
        event_types=None,
        event_filters=None,
        notification_email=None,
    )
    async with verified_connection(config) as db:
        tenant_id = await tenant_of_command(db, tenant, create=config.database.url is None)
        registration = Registration(plain.webhook_id, tenant_id)
        async with db.transaction():
            await webhooks.insert(db, tenant_id, settings, sealed, is_active=True)
            await _record(db, "createWebhook", registration)
    return registration


async def _remove(config: "Config", registration: Registration) -> None:
    """Paused first, so that nothing is sent while its deliveries are deleted."""
    from daemon.cli.support.databases import verified_connection
    from daemon.store import operational_events, webhooks

    tenant_id, webhook_id = registration.tenant_id, registration.webhook_id
    async with verified_connection(config) as db:
        async with db.transaction():
            await operational_events.leave_out_pauses(db)
            found = await webhooks.set_active(db, tenant_id, webhook_id, active=False)
            if found is None:
                return  # it has been deleted
            await _record(db, "deleteWebhook", registration)
        while await webhooks.delete_some_deliveries(db, webhook_id, limit=BATCH_SIZE):
            pass
        await webhooks.delete(db, tenant_id, webhook_id)


async def _record(db: "Connection", action: str, registration: Registration) -> None:
    from daemon.cli.support.audit import command_record
    from daemon.store import audit

    record = command_record(
        *(action, registration.tenant_id),
        object_type="webhook",
        object_id=registration.webhook_id,
    )
    await audit.insert(db, record)
