"""`webhookd explain`: what became of an event, and why."""

import asyncio
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, TenantOption, load_config
from daemon.core.errors import UsageError, WebhookdError
from daemon.core.wire.event_ids import parse_event_id, public_event_id

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.explain.explainer import ExplainedDelivery
    from daemon.store.session import Connection

EventArgument = Annotated[
    str,
    typer.Argument(
        metavar="EVENT",
        help="Its id: a UUID, or evt_… as receivers see it; or the id of one of its deliveries.",
    ),
]
WebhookArgument = Annotated[
    UUID | None,
    typer.Argument(
        metavar="WEBHOOK", help="One webhook; default: all of the tenant.", show_default=False
    ),
]


@app.command()
def explain(
    event: EventArgument,
    webhook: WebhookArgument = None,
    *,
    tenant: TenantOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Say what became of an event at one webhook, or at each, and why.

    With the id of a delivery: what became of its event at its webhook.
    """
    try:
        given_id = parse_event_id(event)
    except ValueError:
        raise UsageError("EVENT: must be an event's or a delivery's id: a UUID, or evt_…") from None
    event_id, found = asyncio.run(_explain(load_config(config), given_id, webhook, tenant))
    if json:
        _print_json(found, one=webhook is not None)
    else:
        _print_text(event_id, found)


async def _explain(
    config: "Config", given_id: UUID, webhook: UUID | None, tenant: UUID | None
) -> "tuple[UUID, list[ExplainedDelivery]]":
    """The event's id, and what is said. Raises WebhookdError for what the tenant does not have."""
    from daemon.cli.support.databases import verified_connection
    from daemon.core.model.ids import EventId, TenantId, WebhookId
    from daemon.explain.explainer import Explainer, UnknownObject
    from daemon.runtime.offload import Offload
    from daemon.store.event_data_reader import EventDataReader

    retention, reader = config.retention, EventDataReader(Offload())
    explainer = Explainer(retention.deliveries, retention.events, reader)
    async with verified_connection(config) as db:
        connect = partial(nullcontext, db)
        event_id, webhook = await _event_and_webhook(db, given_id, webhook)
        owner = await _tenant_of(db, event_id, webhook)
        if owner is None or tenant not in {None, owner}:
            raise WebhookdError(f"there is no event {public_event_id(event_id)}")
        if webhook is None:
            return event_id, await explainer.explain_everywhere(
                connect, TenantId(owner), EventId(event_id)
            )
        found = await explainer.explain(
            connect, TenantId(owner), EventId(event_id), WebhookId(webhook)
        )
    if isinstance(found, UnknownObject):
        public_id = public_event_id(event_id)
        is_event = found.kind == "event"
        missing = f"event {public_id}" if is_event else f"webhook {webhook}"
        raise WebhookdError(f"there is no {missing}")
    return event_id, [found]


async def _event_and_webhook(
    db: "Connection", given_id: UUID, webhook: UUID | None
) -> tuple[UUID, UUID | None]:
    """Of a delivery's id, its event and webhook; any other id is taken for an event's."""
    from daemon.core.model.ids import DeliveryId, EventId
    from daemon.store import explained_events, retries

    if await explained_events.tenant_of(db, EventId(given_id)) is not None:
        return given_id, webhook
    found = await retries.event_and_webhook_of(db, DeliveryId(given_id))
    if found is None or webhook not in {None, found[1]}:
        return given_id, webhook
    return found


async def _tenant_of(db: "Connection", event_id: UUID, webhook: UUID | None) -> UUID | None:
    """The event's tenant; of an event that is not stored any more, the webhook's."""
    from daemon.core.model.ids import EventId, WebhookId
    from daemon.store import audit, explained_events

    owner = await explained_events.tenant_of(db, EventId(event_id))
    if owner is None and webhook is not None:
        owner = await audit.tenant_of(db, WebhookId(webhook))
    return owner


def _print_json(found: "list[ExplainedDelivery]", *, one: bool) -> None:
    from daemon.admin.views.explanations import explanation_response

    documents = [explanation_response(each).as_json().decode() for each in found]
    print(documents[0] if one else f"[{', '.join(documents)}]")


def _print_text(event_id: UUID, found: "list[ExplainedDelivery]") -> None:
    from daemon.cli.support.console import plain_output
    from daemon.cli.support.tables import fitted_table, time_text

    plain_output()
    if not found:
        print(f"{public_event_id(event_id)}: its tenant has no webhook")
        return
    event = found[0].event
    if event is not None:
        print(f"{public_event_id(event_id)}  {event.type}, received {time_text(event.at)}")
    rows = [
        [
            str(each.webhook.id),
            each.webhook.name or "(deleted)",
            each.explanation.outcome.value,
            each.explanation.reason,
        ]
        for each in found
    ]
    print("\n".join(fitted_table(rows)))
