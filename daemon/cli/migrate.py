"""`webhookd migrate`: bring the database's schema up to date."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, load_config, switch

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.store.adoption import Options

FIRST = "0001_webhooks"
# Older daemons take events from the inbox although others have leased them.
LEASES = "0006_inbox_leases"
STOP_FIRST = (
    f"stop the daemons of before {LEASES} before you start this version: beside it they would send"
    " the same events. They may run while the schema is migrated"
)


@app.command()
def migrate(
    config: ConfigOption = None,
    *,
    dry_run: Annotated[bool, switch("--dry-run", "Only say what would be done.")] = False,
    time_zone: Annotated[
        str,
        typer.Option(
            help="Where the application made the tables: the time zone of its times without one.",
            metavar="ZONE",
        ),
    ] = "UTC",
    send_pending: Annotated[
        bool, switch("--send-pending", "Keep deliveries pending that were so in these tables.")
    ] = False,
    allow_rewrite: Annotated[
        bool, switch("--allow-rewrite", "Allow a lock for as long as a large table is rewritten.")
    ] = False,
    subscriber: Annotated[
        bool,
        switch("--subscriber", "Find rows that logical replication brings, from now on."),
    ] = False,
) -> None:
    """Bring the database's schema up to date, also where the application made the tables."""
    from daemon.store.adoption import Options

    loaded = load_config(config)
    options = Options(
        time_zone=time_zone,
        send_pending=send_pending,
        allow_rewrite=allow_rewrite,
        kept_for={
            "webhook_events": loaded.retention.events,
            "webhook_deliveries": loaded.retention.deliveries,
        },
    )
    asyncio.run(_migrate(loaded, options, dry_run=dry_run, subscriber=subscriber))


async def _migrate(
    config: "Config", options: "Options", *, dry_run: bool, subscriber: bool
) -> None:
    from daemon.cli.support.databases import session_url
    from daemon.core.errors import MigrationError
    from daemon.store.adoption import adopt

    async with session_url(config) as (url, pooled):
        adoption = await adopt(url, options, dry_run=dry_run, pooled=pooled, say=_say)
        if adoption is not None and dry_run:
            for line in adoption.lines(options):
                print(line)
            if adoption.obstacles:
                raise MigrationError("the tables cannot be taken over as they are: see above")
        missing = await _apply(url, dry_run=dry_run, pooled=pooled)
        await _subscribe(url, asked=subscriber, dry_run=dry_run, pooled=pooled)
        # A new database, or one whose tables are the application's, has no daemons.
        if adoption is None and LEASES in missing and FIRST not in missing:
            print(STOP_FIRST)


def _say(line: str) -> None:
    print(line, flush=True)


async def _apply(url: str, *, dry_run: bool, pooled: bool) -> list[str]:
    """Apply, or list, the missing migrations; returns their names."""
    from daemon.store.migrations import migrate

    missing = await migrate(url, dry_run=dry_run, pooled=pooled)
    for migration in missing:
        print(f"{'missing' if dry_run else 'applied'} {migration.name}")
    if not (dry_run and missing):  # one of them may be what the conversion needs
        await _convert(url, dry_run=dry_run, pooled=pooled, is_up_to_date=not missing)
    return [migration.name for migration in missing]


async def _convert(url: str, *, dry_run: bool, pooled: bool, is_up_to_date: bool) -> None:
    from daemon.store.partitioning import TABLE, convert

    conversion = await convert(url, dry_run=dry_run, pooled=pooled)
    if conversion.obstacles:
        how = "stays one table" if conversion.stays == TABLE else "stays"
        print(f"{conversion.stays} {how}: {'; '.join(conversion.obstacles)}")
    elif conversion.is_due and dry_run:
        print("unconverted webhook_deliveries: will become partitions")
    elif conversion.is_due:
        print("converted webhook_deliveries to partitions")
    elif is_up_to_date:
        print("the schema is up to date")


async def _subscribe(url: str, *, asked: bool, dry_run: bool, pooled: bool) -> None:
    from daemon.store import subscribers

    if await subscribers.enable(url, asked=asked, dry_run=dry_run, pooled=pooled):
        done = "missing" if dry_run else "created"
        print(f"{done} triggers for rows that logical replication brings")
