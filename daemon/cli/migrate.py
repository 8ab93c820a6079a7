"""`webhookd migrate`: bring the database's schema up to date."""

import asyncio
from typing import TYPE_CHECKING, Annotated

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, load_config, switch

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.store.migrations import Migration


@app.command()
def migrate(
    config: ConfigOption = None,
    dry_run: Annotated[bool, switch("--dry-run", "Only list the missing migrations.")] = False,
) -> None:
    """Bring the database's schema up to date."""
    missing = asyncio.run(_migrate(load_config(config), dry_run=dry_run))
    for migration in missing:
        print(f"{'missing' if dry_run else 'applied'} {migration.name}")
    if not missing:
        print("the schema is up to date")


async def _migrate(config: "Config", *, dry_run: bool) -> "list[Migration]":
    from daemon.cli.support.databases import database_url
    from daemon.store.migrations import migrate

    async with database_url(config, migrated=False) as url:
        return await migrate(url, dry_run=dry_run)
