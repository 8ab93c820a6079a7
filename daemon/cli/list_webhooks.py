"""`webhookd list`: the webhooks with their states."""

import asyncio
import json as json_module
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, TenantOption, load_config
from daemon.core.errors import UsageError

if TYPE_CHECKING:
    from uuid import UUID

    from daemon.config import Config
    from daemon.store.webhook_overview import ListedWebhook

HEADINGS = ["ID", "TENANT", "STATE", "FAILURES", "LAST SUCCESS", "NAME"]
STATES = ("active", "failing", "paused")

StateOption = Annotated[
    str | None,
    typer.Option(help="Only those that are so.", show_default=False, metavar="|".join(STATES)),
]


SearchOption = Annotated[
    str | None,
    typer.Option(
        help="Only those with this part in the name or URL, or that mail this address.",
        show_default=False,
        metavar="TEXT",
    ),
]


@app.command("list")
def list_webhooks(
    *,
    tenant: TenantOption = None,
    state: StateOption = None,
    search: SearchOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the webhooks of one tenant, or of all, with their states."""
    if state not in {None, *STATES}:
        raise UsageError(f"--state: must be one of {', '.join(STATES)}")
    asyncio.run(_list(load_config(config), tenant, state, search, as_json=json))


async def _list(
    config: "Config",
    tenant: "UUID | None",
    state: str | None,
    search: str | None,
    *,
    as_json: bool,
) -> None:
    from daemon.cli.support.console import plain_output
    from daemon.cli.support.databases import verified_connection
    from daemon.cli.support.tables import fitted_table
    from daemon.core.model.ids import TenantId
    from daemon.core.model.webhooks import WebhookState
    from daemon.store import webhook_overview

    plain_output()
    async with verified_connection(config) as db:
        tenant_id = None if tenant is None else TenantId(tenant)
        wanted = None if state is None else WebhookState(state)
        listed = webhook_overview.each(db, tenant_id, state=wanted, search=search)
        found = [each async for each in listed]
    if as_json:
        print(json_module.dumps([_members(each) for each in found]))
    elif found:
        print("\n".join(fitted_table([HEADINGS, *map(_cells, found)])))
    else:
        is_by_state = wanted is not None and not search
        print(f"no webhook is {wanted}" if is_by_state else "no webhook was found")


def _cells(webhook: "ListedWebhook") -> list[str]:
    from daemon.cli.support.tables import time_text

    state = webhook.state.value
    if webhook.paused_reason is not None and state == "paused":
        state = f"{state} ({webhook.paused_reason})"
    return [
        *(str(webhook.id), str(webhook.tenant_id), state, str(webhook.consecutive_failures)),
        *(time_text(webhook.last_success_at), webhook.name),
    ]


def _members(webhook: "ListedWebhook") -> dict[str, object]:
    from daemon.logs.urls import without_query

    times = {
        "lastSuccessAt": webhook.last_success_at,
        "lastFailureAt": webhook.last_failure_at,
    }
    return {
        "id": str(webhook.id),
        "tenantId": str(webhook.tenant_id),
        "name": webhook.name,
        "endpointUrl": without_query(webhook.endpoint_url),
        "state": webhook.state.value,
        "pausedReason": webhook.paused_reason,
        "consecutiveFailures": webhook.consecutive_failures,
        **{
            name: None if at is None else at.isoformat().replace("+00:00", "Z")
            for name, at in times.items()
        },
    }
