"""`webhookd forget`: what is stored of one contact or tenant, erased because somebody asked."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, configured, database_of, switch
from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.erasure import ErasureCounts, ErasureTarget
    from daemon.maintenance.erasure import Progress
    from daemon.store.database import Database

CLOSE_SECONDS = 2


@app.command()
def forget(
    *,
    tenant: Annotated[
        UUID | None,
        typer.Option(help="ErasureTarget data it is.", show_default=False, metavar="UUID"),
    ] = None,
    contact: Annotated[
        str | None,
        typer.Option(
            help="Erase what names this contact of the tenant's: its id, or its e-mail address.",
            show_default=False,
            metavar="ID",
        ),
    ] = None,
    everything: Annotated[
        bool, switch("--everything", "Erase all of the tenant's, webhooks included.")
    ] = False,
    dry_run: Annotated[bool, switch("--dry-run", "Count, and erase nothing.")] = False,
    yes: Annotated[bool, switch("--yes", "Do not ask.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Erase what is stored of a contact or of a tenant, in small steps while daemons run.

    Events, deliveries with the answers to them, and what is still to be delivered, for good. A
    contact is looked for by one name at a time: run it for the id and again for each address.
    """
    whose = _whose(tenant, contact, everything=everything)
    if not (yes or dry_run or _asks_somebody()):
        raise UsageError("forget: erases for good: give --yes, or --dry-run to see how much it is")
    loaded = configured(config)
    at_once = yes and not dry_run
    found = asyncio.run(_forget(loaded, whose, erase=at_once))
    if found and not (at_once or dry_run):
        _ask(whose, found)
        found = asyncio.run(_forget(loaded, whose, erase=True))
    shown = _as_json(whose, found, dry_run=dry_run) if json else _as_text(found, dry_run=dry_run)
    print(shown)


def _whose(tenant: UUID | None, contact: str | None, *, everything: bool) -> "ErasureTarget":
    from daemon.core.model.erasure import ErasureTarget
    from daemon.core.model.ids import TenantId

    if tenant is None:
        raise UsageError("--tenant: is needed")
    if (contact is not None) == everything:
        raise UsageError("forget: name either --contact or --everything")
    if contact is not None:
        try:
            contact.encode()
        except UnicodeEncodeError:
            raise UsageError("--contact: this is not UTF-8 text") from None
        if not contact.strip():
            raise UsageError("--contact: is empty")
    return ErasureTarget(TenantId(tenant), contact)


def _asks_somebody() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


async def _forget(config: "Config", whose: "ErasureTarget", *, erase: bool) -> "ErasureCounts":
    """What was erased, or would be."""
    from daemon.maintenance.erasure import Erasure

    async with database_of(config) as url, _opened(url) as database:
        with _progress() as tell:
            eraser = Erasure(database, whose, on_progress=tell)
            if not await eraser.tenant_exists():
                raise UsageError(f"--tenant: there is no tenant {whose.tenant_id}")
            return await eraser.erase() if erase else await eraser.count()


def _ask(whose: "ErasureTarget", found: "ErasureCounts") -> None:
    """Raises WebhookdError unless whoever sits there is sure."""
    if whose.contact is None:
        question, wanted = "Type the tenant's id to erase it", {str(whose.tenant_id)}
    else:
        question, wanted = "Erase it? [y/N]", {"y", "yes"}
    print(f"{_listed(found)}.\n{question}: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in wanted:
        raise WebhookdError("nothing was erased")


@asynccontextmanager
async def _opened(url: str) -> "AsyncIterator[Database]":
    """The database, for as many transactions as it takes. Raises DatabaseUnavailableError."""
    from datetime import timedelta

    import asyncpg

    from daemon.store.database import UNAVAILABLE, Database, unusable
    from daemon.store.migrations import verify

    database = Database(url, size=1)
    await database.open()
    try:
        async with database.connection() as db:
            await verify(db)
        yield database
    except (asyncpg.PostgresError, *UNAVAILABLE) as error:
        raise error if isinstance(error, WebhookdError) else unusable(error) from error
    finally:
        await database.close(within=timedelta(seconds=CLOSE_SECONDS))


@contextmanager
def _progress() -> "Iterator[Callable[[Progress], None]]":
    """On stderr, and on a terminal alone."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("looking") as status:
        yield lambda progress: status.update(
            f"{progress.rows_read:,} rows looked at: {_listed(progress.counts)}"
        )


def _listed(tally: "ErasureCounts") -> str:
    """`1 event (1 just come in), 2 deliveries`; what there is none of is left out."""
    kinds = (
        (tally.events, "event", "events", tally.waiting, "just come in"),
        (tally.deliveries, "delivery", "deliveries", tally.pending, "still to be made"),
        (tally.replays, "replay", "replays", 0, ""),
        (tally.notices, "notice", "notices", 0, ""),
        (tally.webhooks, "webhook", "webhooks", 0, ""),
    )
    listed = [
        f"{count:,} {one if count == 1 else many}" + (f" ({some:,} {how})" if some else "")
        for count, one, many, some, how in kinds
        if count
    ]
    return ", ".join(listed) or "nothing yet"


def _as_text(found: "ErasureCounts", *, dry_run: bool) -> str:
    if not found:
        return "nothing is stored of it"
    return f"{'would be erased' if dry_run else 'erased'}: {_listed(found)}"


def _as_json(whose: "ErasureTarget", found: "ErasureCounts", *, dry_run: bool) -> str:
    from dataclasses import asdict

    return json.dumps({"tenantId": str(whose.tenant_id), "dryRun": dry_run, **asdict(found)})
