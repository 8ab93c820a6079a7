"""
`webhookd adopt`: say that this database belongs to this installation.

The rule: nothing is adopted before a person has seen what would go out and agreed, or gave `--yes`.
"""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, load_config, switch
from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.store.session import Connection


@app.command()
def adopt(
    *,
    yes: Annotated[bool, switch("--yes", "Adopt it without asking.")] = False,
    config: ConfigOption = None,
) -> None:
    """
    Say that this database belongs to this installation (installation.name).

    Daemons with that name send from it within seconds, and those with another name stop. To let
    nothing go out at first, run `webhookd hold` before.
    """
    loaded = load_config(config)
    if loaded.installation.name is None:
        raise UsageError(
            "installation.name is not set: there is no name to write into the database"
        )
    asyncio.run(_adopt(loaded, loaded.installation.name, yes=yes))


async def _adopt(config: "Config", name: str, *, yes: bool) -> None:
    from daemon.cli.support.databases import verified_connection
    from daemon.store import installation

    async with verified_connection(config) as db:
        found = await installation.name_of(db)
        if found == name:
            print(f'The database belongs to "{name}" already.')
            return
        print(await _described(config, db, name, found), file=sys.stderr)
        if not yes:
            _confirm()
        await _write(db, name)
    print(f'The database belongs to "{name}" now.')


async def _described(config: "Config", db: "Connection", name: str, found: str | None) -> str:
    """The changes to be made, and the deliveries that would go out then."""
    from daemon.store import holds, installation

    owner = "no installation" if found is None else f'the installation "{found}"'
    waiting = await installation.count_waiting(db)
    holding = await holds.list_all(db, limit=1)
    is_held = any(each.tenant_id is None for each in holding)
    return (
        f'{config.database.display_name()} belongs to {owner}, and would belong to "{name}".\n'
        f"Deliveries that would go out at once: {_counted(waiting.due)}; later:"
        f" {_counted(waiting.later)}; events to be delivered: {_counted(waiting.events)}.\n"
    ) + (
        "Everything is held: nothing goes out until `webhookd release`."
        if is_held
        else "To let nothing go out at first, run `webhookd hold` before."
    )


def _counted(count: int) -> str:
    from daemon.store.installation import MOST_COUNTED

    return f"{count:,} or more" if count == MOST_COUNTED else f"{count:,}"


def _confirm() -> None:
    """Ask on the terminal; raises UsageError without one, and WebhookdError unless it is yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("adopt: sends what waits in this database: give --yes")
    print("Adopt it? [y/N]: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise WebhookdError("nothing was changed")


async def _write(db: "Connection", name: str) -> None:
    from daemon.cli.support.audit import command_record
    from daemon.store import audit, installation

    async with db.transaction():
        await installation.adopt(db, name)
        await audit.insert(db, command_record("adoptDatabase", None, object_type="database"))
