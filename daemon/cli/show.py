"""`webhookd show`: a webhook, an event or a delivery, as the API shows it."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, TenantOption, load_config
from daemon.core.errors import UsageError, WebhookdError
from daemon.core.wire.event_ids import parse_event_id

if TYPE_CHECKING:
    from daemon.admin.schemas.base import ResponseModel
    from daemon.config import Config
    from daemon.store.session import Connection

IdArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="The id of a webhook, an event (also evt_…) or a delivery."),
]
# Columns of the table of an event's deliveries, or of a delivery's siblings.
COLUMNS = ("id", "webhookId", "status", "attemptNumber", "attemptedAt", "errorMessage")


@app.command()
def show(
    object_id: IdArgument,
    *,
    tenant: TenantOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show a webhook, an event with its deliveries, or a delivery with request and response."""
    try:
        found_id = parse_event_id(object_id)
    except ValueError:
        raise UsageError("ID: must be a UUID, or evt_…") from None
    document = asyncio.run(_show(load_config(config), found_id, tenant))
    if document is None:
        raise WebhookdError(f"there is no webhook, event or delivery {object_id}")
    _print(document, as_json=json)


async def _show(config: "Config", object_id: UUID, tenant: UUID | None) -> "ResponseModel | None":
    """The response of the API's operation for it; None if there is no such object."""
    from daemon.cli.support.databases import verified_connection
    from daemon.cli.support.shown_objects import shown_delivery, shown_event, shown_webhook

    async with verified_connection(config) as db:
        for shown, owner in (
            (shown_webhook, _tenant_of_webhook),
            (shown_event, _tenant_of_event),
            (shown_delivery, _tenant_of_delivery),
        ):
            tenant_id = await owner(db, object_id)
            if tenant_id is not None:
                visible = tenant in {None, tenant_id}
                return await shown(db, config, tenant_id, object_id) if visible else None
    return None


async def _tenant_of_webhook(db: "Connection", object_id: UUID) -> UUID | None:
    from daemon.core.model.ids import WebhookId
    from daemon.store import audit

    return await audit.tenant_of(db, WebhookId(object_id))


async def _tenant_of_event(db: "Connection", object_id: UUID) -> UUID | None:
    from daemon.core.model.ids import EventId
    from daemon.store import explained_events

    return await explained_events.tenant_of(db, EventId(object_id))


async def _tenant_of_delivery(db: "Connection", object_id: UUID) -> UUID | None:
    from daemon.core.model.ids import DeliveryId
    from daemon.store import retries

    webhook_id = await retries.webhook_of(db, None, DeliveryId(object_id))
    return None if webhook_id is None else await _tenant_of_webhook(db, webhook_id)


def _print(document: "ResponseModel", *, as_json: bool) -> None:
    import orjson

    from daemon.cli.support.console import plain_output

    plain_output()
    rendered = document.as_json()
    if as_json:
        print(rendered.decode())
        return
    members: dict[str, Any] = orjson.loads(rendered)
    attempts = members.pop("deliveries", None) or members.pop("siblings", None)
    print("\n".join(_lines(members, attempts)))


def _lines(members: dict[str, Any], attempts: list[dict[str, Any]] | None) -> list[str]:
    from daemon.cli.support.tables import fitted_table, table

    lines = table([[name, _text(value)] for name, value in members.items()])
    if attempts:
        rows = [[_text(each[name]) for name in COLUMNS] for each in attempts]
        lines += ["", *fitted_table([list(COLUMNS), *rows])]
    return lines


def _text(value: object) -> str:
    import orjson

    if value is None:
        return "-"
    return value if isinstance(value, str) else orjson.dumps(value).decode()
