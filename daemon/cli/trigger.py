"""`webhookd trigger`: one event, published just as the application publishes it."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, configured, connected, database_of
from daemon.core import event_types
from daemon.core.errors import UsageError, WebhookdError
from daemon.core.wire.event_ids import public_event_id

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.store.database import Connection

LONGEST_TYPE = 100
TENANTS_NAMED = 10

INSERT = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)
    VALUES ($1, $2, $3, $4, now())
"""


@app.command()
def trigger(
    event_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="One of the 13 types, such as email.opened.")
    ],
    tenant: Annotated[
        UUID | None,
        typer.Option(
            help="Whose event it is; may be left out when there is only one tenant.",
            show_default=False,
            metavar="UUID",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="The event's data instead of sample data; - reads stdin.",
            show_default=False,
            metavar="JSON|@FILE|-",
        ),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Publish a sample event, as the application would: one row in webhook_events."""
    text = _data_of(event_type, data)
    published = asyncio.run(_publish(configured(config), event_type, tenant, text))
    print(published.as_json() if json else published.as_text())


@dataclass(frozen=True, slots=True)
class Published:
    """An event that is stored, and how many of its tenant's active webhooks want it."""

    event_id: UUID
    event_type: str
    tenant_id: UUID
    wanted_by: int
    active: int

    def as_text(self) -> str:
        who = f"{self.wanted_by} of the tenant's {self.active} active webhooks"
        return f"{public_event_id(self.event_id)}  {self.event_type}, wanted by {who}"

    def as_json(self) -> str:
        return json.dumps(
            {
                "id": public_event_id(self.event_id),
                "type": self.event_type,
                "tenantId": str(self.tenant_id),
                "wantedBy": self.wanted_by,
                "activeWebhooks": self.active,
            }
        )


def _data_of(event_type: str, given: str | None) -> str:
    """The data as JSON text. Raises UsageError."""
    if not event_type or len(event_type) > LONGEST_TYPE or "\0" in event_type:
        raise UsageError(f"TYPE: an event type has 1 to {LONGEST_TYPE} characters")
    if given is not None:
        return _checked(given)
    try:
        return json.dumps(event_types.sample_data(event_type), ensure_ascii=False)
    except KeyError:
        raise UsageError(_unknown(event_type)) from None


def _unknown(event_type: str) -> str:
    near = event_types.closest_event_type(event_type)
    names = ", ".join(each.name for each in event_types.EVENT_TYPES)
    hint = f"did you mean {near}?" if near else f"there are {names}."
    shown = json.dumps(event_type, ensure_ascii=False)
    return f"TYPE: {shown} is none of the 13 types; {hint} Another type needs --data"


def _checked(given: str) -> str:
    text = _read(given)
    try:
        json.loads(text)
    except RecursionError:
        raise UsageError("--data: the JSON is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"--data: this is not JSON: {error}") from None
    return text


def _read(given: str) -> str:
    """`given` itself, or what it names: `@file`, or `-` for stdin."""
    try:
        if given == "-":
            return sys.stdin.buffer.read().decode()
        if given.startswith("@"):
            return Path(given[1:]).read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError("--data: this is not UTF-8 text") from None
    except OSError as error:
        raise UsageError(f"--data: {given[1:]}: {error.strerror}") from None
    return given


async def _publish(
    config: "Config", event_type: str, tenant_id: UUID | None, data: str
) -> Published:
    import asyncpg

    from daemon.store.errors import describe
    from daemon.store.migrations import verify

    async with database_of(config) as url, connected(url) as db:
        await verify(db)
        tenant_id = await _tenant(db, tenant_id, ours=config.database.url is None)
        event_id = uuid4()
        try:
            await db.execute(INSERT, event_id, tenant_id, event_type, data)
        except asyncpg.DataError as error:  # what is JSON, but no jsonb: \u0000, a lone surrogate
            raise UsageError(f"--data: PostgreSQL cannot store it: {describe(error)}") from None
        wanted_by, active = await _audience(db, tenant_id, event_type, data)
    return Published(event_id, event_type, tenant_id, wanted_by, active)


async def _audience(
    db: "Connection", tenant_id: UUID, event_type: str, data: str
) -> tuple[int, int]:
    """How many active webhooks want the event, and how many there are."""
    from daemon.core.matching.compiler import compile_subscription
    from daemon.core.matching.matcher import Matcher
    from daemon.core.model.ids import TenantId
    from daemon.core.wire.json_value import parse_json
    from daemon.store.subscriptions import subscriptions

    value = parse_json(data)
    active = await subscriptions(db, [TenantId(tenant_id)])
    wanted_by = 0
    for subscription in active:
        matcher = compile_subscription(subscription.event_types, subscription.event_filters)
        wanted_by += isinstance(matcher, Matcher) and matcher.matches(event_type, value)
    return wanted_by, len(active)


async def _tenant(db: "Connection", given: UUID | None, *, ours: bool) -> UUID:
    """
    The tenant that is meant; a first one, if there is none and the database is `ours`, embedded.

    Raises UsageError when none is meant, or any of several may be.
    """
    if given is not None:
        if await db.fetchval("SELECT 1 FROM tenants WHERE id = $1", given) is None:
            raise UsageError(f"--tenant: there is no tenant {given}")
        return given
    for query in (
        "SELECT DISTINCT tenant_id FROM webhooks ORDER BY 1 LIMIT $1",
        "SELECT id FROM tenants ORDER BY 1 LIMIT $1",
    ):
        found = [row[0] for row in await db.fetch(query, TENANTS_NAMED + 1)]
        if len(found) == 1:
            return UUID(str(found[0]))
        if found:
            raise UsageError(f"--tenant: there are several; name one of {_named(found)}")
    if ours:
        return await _first_tenant(db)
    raise WebhookdError(
        "there is no tenant yet whose event it could be; the application makes them"
    )


async def _first_tenant(db: "Connection") -> UUID:
    """Make one where no application does."""
    made = UUID(str(await db.fetchval("INSERT INTO tenants DEFAULT VALUES RETURNING id")))
    print(f"webhookd: there was no tenant yet: made {made}", file=sys.stderr)
    return made


def _named(tenants: list[UUID]) -> str:
    names = ", ".join(str(tenant) for tenant in tenants[:TENANTS_NAMED])
    return f"{names}, …" if len(tenants) > TENANTS_NAMED else names
