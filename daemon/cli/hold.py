"""
`webhookd hold` and `webhookd release`: let deliveries wait, of one tenant or all.

The rule: the user who runs them is named in the audit and in the log of every daemon.
"""

import asyncio
import json as json_module
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, load_config
from daemon.core.errors import UsageError
from daemon.core.unprintable import escape
from daemon.core.wire.timestamps import rfc3339

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.audit import AuditRecord
    from daemon.core.model.holds import Hold
    from daemon.core.model.ids import TenantId
    from daemon.store.session import Connection

MOST_LISTED = 100
LONGEST_REASON = 255

TenantOption = Annotated[
    UUID | None,
    typer.Option(help="This tenant; without it, everything.", show_default=False, metavar="UUID"),
]
ReasonOption = Annotated[
    str | None,
    typer.Option(help="Why, for the audit and the log.", show_default=False, metavar="TEXT"),
]


@app.command()
def hold(
    *,
    tenant: TenantOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Send nothing from one second on, until `webhookd release`.

    Requests under way end. Events make their deliveries, which wait.
    """
    held = asyncio.run(_hold(load_config(config), tenant, _checked(reason)))
    _report(held, as_json=json)


@app.command()
def release(
    *,
    tenant: TenantOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Send what was held.

    Without --tenant this ends the hold of everything: tenants that are held by themselves stay so.
    """
    held = asyncio.run(_release(load_config(config), tenant, _checked(reason)))
    _report(held, as_json=json)


def _checked(reason: str | None) -> str | None:
    if reason is None:
        return None
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason: has 1 to {LONGEST_REASON} characters")
    if escape(reason) != reason:
        raise UsageError("--reason: has characters that cannot be shown")
    return reason


async def _hold(config: "Config", tenant: UUID | None, reason: str | None) -> "list[Hold]":
    from daemon.cli.support.databases import verified_connection
    from daemon.store import holds

    tenant_id = _tenant_id(tenant)
    async with verified_connection(config) as db:
        if not await holds.may_be_held(db, tenant_id):
            raise UsageError(f"--tenant: there is no tenant {tenant}")
        record = _record("holdDeliveries", tenant_id, reason)
        async with db.transaction():
            await holds.hold(db, tenant_id, held_by=record.actor.name, reason=reason)
            await _announce(db, record)
        return await _held(db, tenant_id)


async def _release(config: "Config", tenant: UUID | None, reason: str | None) -> "list[Hold]":
    from daemon.cli.support.databases import verified_connection
    from daemon.store import holds

    tenant_id = _tenant_id(tenant)
    async with verified_connection(config) as db:
        async with db.transaction():
            await holds.release(db, tenant_id)
            await _announce(db, _record("releaseDeliveries", tenant_id, reason))
        return await _held(db, tenant_id)


def _tenant_id(tenant: UUID | None) -> "TenantId | None":
    from daemon.core.model.ids import TenantId

    return None if tenant is None else TenantId(tenant)


def _record(action: str, tenant_id: "TenantId | None", reason: str | None) -> "AuditRecord":
    from daemon.cli.support.audit import command_record

    record = command_record(action, tenant_id, object_type="tenant", object_id=tenant_id)
    return replace(record, reason=reason)


async def _announce(db: "Connection", record: "AuditRecord") -> None:
    """Write the record, and let every daemon look."""
    from daemon.store import audit, notification_queue

    await audit.insert(db, record)
    await notification_queue.notify_holds(db)


async def _held(db: "Connection", tenant_id: "TenantId | None") -> "list[Hold]":
    from daemon.store import holds

    if tenant_id is None:
        return await holds.list_all(db, limit=MOST_LISTED)
    return await holds.list_of(db, tenant_id)


def _report(held: "Sequence[Hold]", *, as_json: bool) -> None:
    """Print what is held now: all of it, or what holds the tenant that was named."""
    from daemon.cli.support.console import plain_output

    plain_output()
    if as_json:
        print(json_module.dumps([_members(each) for each in held]))
        return
    for each in held:
        what = "everything" if each.tenant_id is None else f"tenant {each.tenant_id}"
        why = "" if each.reason is None else f": {escape(each.reason)}"
        print(f"held: {what}, since {rfc3339(each.since)}, by {escape(each.held_by)}{why}")
    if not held:
        print("Nothing is held.")


def _members(hold: "Hold") -> dict[str, object]:
    return {
        "tenantId": None if hold.tenant_id is None else str(hold.tenant_id),
        "since": rfc3339(hold.since),
        "heldBy": hold.held_by,
        "reason": hold.reason,
    }
