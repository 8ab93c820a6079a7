"""
`webhookd forget`: erase what is stored about one contact or tenant.

The rule: nothing is erased before a person has seen how much it is and agreed, or gave `--yes`.
"""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, load_config, switch
from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.erasure import ErasureCounts, ErasureTarget
    from daemon.store.database import Database

TenantOption = Annotated[
    UUID | None,
    typer.Option(help="The tenant whose data it is.", show_default=False, metavar="UUID"),
]
ContactOption = Annotated[
    str | None,
    typer.Option(
        help="Erase everything that names this contact: its id, or its e-mail address.",
        show_default=False,
        metavar="ID",
    ),
]


@app.command()
def forget(
    *,
    tenant: TenantOption = None,
    contact: ContactOption = None,
    everything: Annotated[
        bool, switch("--everything", "Erase all of the tenant's data, webhooks included.")
    ] = False,
    dry_run: Annotated[bool, switch("--dry-run", "Count, and erase nothing.")] = False,
    yes: Annotated[bool, switch("--yes", "Erase without asking.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Erase what is stored about a contact or a tenant, in small steps while daemons run.

    Events, deliveries with their responses, and pending deliveries are erased for good. A contact
    is found by one name at a time: run the command for its id, and again for each address.
    """
    from daemon.cli.support.erasure_report import counts_as_json, counts_as_text

    target = _target(tenant, contact, everything=everything)
    if not (yes or dry_run or _can_ask()):
        raise UsageError("forget: erases for good: give --yes, or --dry-run to count first")
    loaded = load_config(config)
    counts = asyncio.run(_count_or_erase(loaded, target, erase=yes and not dry_run))
    if counts and not (yes or dry_run):
        _confirm(target, counts)
        counts = asyncio.run(_count_or_erase(loaded, target, erase=True))
    if json:
        print(counts_as_json(target, counts, dry_run=dry_run))
    else:
        print(counts_as_text(counts, dry_run=dry_run))


def _target(tenant: UUID | None, contact: str | None, *, everything: bool) -> "ErasureTarget":
    from daemon.core.model.erasure import ErasureTarget
    from daemon.core.model.ids import TenantId

    if tenant is None:
        raise UsageError("--tenant: is required")
    if (contact is not None) == everything:
        raise UsageError("forget: give either --contact or --everything")
    if contact is not None:
        _check_contact(contact)
    return ErasureTarget(TenantId(tenant), contact)


def _check_contact(contact: str) -> None:
    try:
        contact.encode()
    except UnicodeEncodeError:
        raise UsageError("--contact: this is not UTF-8 text") from None
    if not contact.strip():
        raise UsageError("--contact: is empty")


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


async def _count_or_erase(
    config: "Config", target: "ErasureTarget", *, erase: bool
) -> "ErasureCounts":
    """Return what was erased, or would be."""
    from daemon.cli.support.databases import verified_pool
    from daemon.cli.support.erasure_report import progress_display
    from daemon.maintenance.erasure import Erasure
    from daemon.maintenance.erasure_count import ErasureCount
    from daemon.store.erasure import tenant_exists

    async with verified_pool(config) as database:
        async with database.connection() as db:
            if not await tenant_exists(db, target.tenant_id):
                raise UsageError(f"--tenant: there is no tenant {target.tenant_id}")
        with progress_display() as show:
            if not erase:
                return await ErasureCount(database, target, on_progress=show).count()
            await _record(database, target)
            return await Erasure(database, target, on_progress=show).erase()


async def _record(database: "Database", target: "ErasureTarget") -> None:
    """Write the audit record before anything is erased; it does not name a contact."""
    from daemon.cli.support.audit import command_record
    from daemon.store import audit
    from daemon.store.erasure_access import ERASE_TENANT

    tenant_id = target.tenant_id
    if target.contact is None:
        record = command_record(ERASE_TENANT, tenant_id, object_type="tenant", object_id=tenant_id)
    else:
        record = command_record("eraseContact", tenant_id, object_type="contact")
    async with database.transaction() as db:
        await audit.insert(db, record)


def _confirm(target: "ErasureTarget", counts: "ErasureCounts") -> None:
    """Ask on the terminal; raises WebhookdError unless the answer is yes."""
    from daemon.cli.support.erasure_report import listed

    if target.contact is None:
        question, accepted = "Type the tenant's id to erase it", {str(target.tenant_id)}
    else:
        question, accepted = "Erase it? [y/N]", {"y", "yes"}
    print(f"{listed(counts)}.\n{question}: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in accepted:
        raise WebhookdError("nothing was erased")
