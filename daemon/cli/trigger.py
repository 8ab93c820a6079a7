"""`webhookd trigger`: publish one event as the application does."""

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, load_config
from daemon.core.errors import UsageError
from daemon.core.wire.event_ids import public_event_id

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.ids import TenantId
    from daemon.store.session import Connection

MOST_WEBHOOKS_COUNTED = 10_000

TypeArgument = Annotated[
    str, typer.Argument(metavar="TYPE", help="One of the 13 types, such as email.opened.")
]
TenantOption = Annotated[
    UUID | None,
    typer.Option(
        help="The tenant whose event it is; may be left out if there is only one.",
        show_default=False,
        metavar="UUID",
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        help="The event's data instead of sample data; - reads stdin.",
        show_default=False,
        metavar="JSON|@FILE|-",
    ),
]


@app.command()
def trigger(
    event_type: TypeArgument,
    tenant: TenantOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Publish a sample event, as the application would: one row in webhook_events."""
    from daemon.cli.support.event_data import event_data

    text = event_data(event_type, data)
    published = asyncio.run(_publish(load_config(config), event_type, tenant, text))
    print(published.as_json() if json else published.as_text())


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """A stored event, and how many of its tenant's active webhooks it matches."""

    event_id: UUID
    event_type: str
    tenant_id: UUID
    matching: int
    active: int

    def as_text(self) -> str:
        """One line for a person."""
        event = f"{public_event_id(self.event_id)}  {self.event_type}"
        return f"{event}, matches {self.matching} of the tenant's {self.active} active webhooks"

    def as_json(self) -> str:
        """The same as a JSON object."""
        return json.dumps(
            {
                "id": public_event_id(self.event_id),
                "type": self.event_type,
                "tenantId": str(self.tenant_id),
                "wantedBy": self.matching,
                "activeWebhooks": self.active,
            }
        )


async def _publish(
    config: "Config", event_type: str, tenant: UUID | None, data: str
) -> PublishedEvent:
    from daemon.cli.support.databases import verified_connection
    from daemon.cli.support.tenants import tenant_of_command
    from daemon.core.model.ids import EventId
    from daemon.store.publish import UnstorableDataError, publish

    async with verified_connection(config, may_start=True) as db:
        tenant_id = await tenant_of_command(db, tenant, create=config.database.url is None)
        event_id = EventId(uuid4())
        try:
            await publish(db, event_id, tenant_id=tenant_id, event_type=event_type, data=data)
        except UnstorableDataError as error:
            raise UsageError(f"--data: PostgreSQL cannot store it: {error}") from None
        matching, active = await _count_webhooks(db, tenant_id, event_type, data)
    return PublishedEvent(event_id, event_type, tenant_id, matching, active)


async def _count_webhooks(
    db: "Connection", tenant_id: "TenantId", event_type: str, data: str
) -> tuple[int, int]:
    """Return how many active webhooks the event matches, and how many there are."""
    from daemon.core.matching.compiler import compile_subscription
    from daemon.core.matching.matcher import Matcher
    from daemon.core.wire.json_value import parse_json
    from daemon.store import subscriptions

    value = parse_json(data)
    active, _ = await subscriptions.of_tenants(
        db, [tenant_id], limit=MOST_WEBHOOKS_COUNTED, most_bytes=subscriptions.ALONE
    )
    matching = 0
    for subscription in active:
        matcher = compile_subscription(subscription.event_types, subscription.event_filters)
        matching += isinstance(matcher, Matcher) and matcher.matches(event_type, value)
    return matching, len(active)
