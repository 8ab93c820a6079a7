"""`webhookd capacity`: where this installation stands against its limits."""

import asyncio
import json as json_module
from typing import TYPE_CHECKING

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, load_config

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.capacity import Usage

HEADINGS = ["WHAT", "USED", "LIMIT", "SHARE", ""]
SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


@app.command()
def capacity(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show where this installation stands against its limits."""
    asyncio.run(_capacity(load_config(config), as_json=json))


async def _capacity(config: "Config", *, as_json: bool) -> None:
    from daemon.cli.support.console import plain_output
    from daemon.cli.support.databases import verified_connection
    from daemon.cli.support.tables import fitted_table
    from daemon.config.policies import webhook_limits
    from daemon.service import CONNECTIONS_BESIDE_POOL
    from daemon.store.capacity import usages

    plain_output()
    of_daemon = config.database.pool_size + CONNECTIONS_BESIDE_POOL
    async with verified_connection(config) as db:
        found = await usages(db, webhook_limits(config), connections_of_daemon=of_daemon)
    if as_json:
        print(json_module.dumps([_members(each) for each in found]))
    else:
        print("\n".join(fitted_table([HEADINGS, *map(_cells, found)])))


def _cells(usage: "Usage") -> list[str]:
    share = "-" if usage.share is None else f"{usage.share:.0%}".replace("%", " %")
    limit = "-" if usage.limit is None else _shown(usage.limit, usage.unit)
    return [usage.name, _shown(usage.used, usage.unit), limit, share, usage.note]


def _members(usage: "Usage") -> dict[str, object]:
    return {
        "name": usage.name,
        "used": usage.used,
        "limit": usage.limit,
        "unit": usage.unit,
        "note": usage.note,
    }


def _shown(number: float, unit: str) -> str:
    match unit:
        case "bytes":
            power = min(len(SIZES) - 1, max(0, (int(number).bit_length() - 1) // 10))
            return f"{number / 1024**power:,.1f} {SIZES[power]}" if power else f"{number:,} B"
        case "seconds":
            return f"{number:,.1f} s"
        case "percent":
            return f"{number:g} %"
        case _:
            return f"{number:,.0f}"
