"""`webhookd migrate`: bring the database's schema up to date."""

import asyncio
from typing import TYPE_CHECKING, Annotated

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, load_config, switch

if TYPE_CHECKING:
    from daemon.config import Config


@app.command()
def migrate(
    config: ConfigOption = None,
    dry_run: Annotated[bool, switch("--dry-run", "Only list the missing migrations.")] = False,
) -> None:
    """Bring the database's schema up to date."""
    asyncio.run(_migrate(load_config(config), dry_run=dry_run))


async def _migrate(config: "Config", *, dry_run: bool) -> None:
    from daemon.cli.support.databases import database_url
    from daemon.store.migrations import migrate
    from daemon.store.partitioning import TABLE, convert

    async with database_url(config) as url:
        missing = await migrate(url, dry_run=dry_run)
        for migration in missing:
            print(f"{'missing' if dry_run else 'applied'} {migration.name}")
        if dry_run and missing:  # one of them may be what the conversion needs
            return
        conversion = await convert(url, dry_run=dry_run)
    if conversion.obstacles:
        how = "stays one table" if conversion.stays == TABLE else "stays"
        print(f"{conversion.stays} {how}: {'; '.join(conversion.obstacles)}")
    elif conversion.is_due and dry_run:
        print("unconverted webhook_deliveries: will become partitions")
    elif conversion.is_due:
        print("converted webhook_deliveries to partitions")
    elif not missing:
        print("the schema is up to date")
