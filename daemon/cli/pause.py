"""`webhookd pause` and `webhookd resume`: let the deliveries of one webhook wait, or go on."""

import asyncio
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, TenantOption, load_config
from daemon.core.errors import WebhookdError

if TYPE_CHECKING:
    from daemon.admin.schemas import Webhook
    from daemon.config import Config

WebhookArgument = Annotated[UUID, typer.Argument(metavar="WEBHOOK", help="The webhook's id.")]


@app.command()
def pause(
    webhook: WebhookArgument,
    *,
    tenant: TenantOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Send nothing to a webhook from one second on, until it is resumed.

    Its pending deliveries wait. Events that come meanwhile make none: a replay can send them later.
    """
    paused = asyncio.run(_set_active(load_config(config), webhook, tenant, active=False))
    _report(paused, "is paused", as_json=json)


@app.command()
def resume(
    webhook: WebhookArgument,
    *,
    tenant: TenantOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Send to a paused webhook again, beginning with what is pending.

    Its count of consecutive failures is reset.
    """
    resumed = asyncio.run(_set_active(load_config(config), webhook, tenant, active=True))
    _report(resumed, "is active", as_json=json)


async def _set_active(
    config: "Config", webhook: UUID, tenant: UUID | None, *, active: bool
) -> "Webhook":
    """The webhook as the API shows it. Raises WebhookdError if there is none of this id."""
    from daemon.cli.support.audit import command_record
    from daemon.cli.support.databases import verified_connection
    from daemon.cli.support.shown_objects import webhook_document
    from daemon.core.model.ids import TenantId, WebhookId
    from daemon.store import audit, notification_queue, webhooks

    webhook_id, changed = WebhookId(webhook), None
    async with verified_connection(config) as db, db.transaction():
        owner = await audit.tenant_of(db, webhook_id) if tenant is None else TenantId(tenant)
        if owner is not None:
            changed = await webhooks.set_active(db, owner, webhook_id, active=active)
        if changed is not None:
            action = "resumeWebhook" if active else "pauseWebhook"
            record = command_record(action, owner, object_type="webhook", object_id=webhook)
            await audit.insert(db, record)
            if active:
                await notification_queue.notify_replay(db)  # those that wait for it go on
    if changed is None:
        raise WebhookdError(f"there is no webhook {webhook}")
    return webhook_document(changed, config)


def _report(webhook: "Webhook", state: str, *, as_json: bool) -> None:
    from daemon.cli.support.console import plain_output

    plain_output()
    print(webhook.as_json().decode() if as_json else f"{webhook.id} {state}")
