"""What goes on beside the live events: backlogs, hostile endpoints, an open transaction."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import asyncpg

from tests.bench import console, seeds
from tests.bench.bench import Bench
from tests.bench.installation import Installation, add_webhooks
from tests.bench.publishing import SteadyLoad
from tests.bench.sample import EVENT_DATA
from tests.bench.servers import Seed
from tests.bench.sizes import Sizes
from tests.bench.variants import Variant, run_command
from tests.bench.visitor import Visitor
from tests.support.hostile_crowds import hostile_process

HOSTILE_PER_SECOND = 20.0
FLOODS = ("with endless bodies", "with endless interim responses")
FLOODERS_ADDRESS = "127.0.2.1"
# In production they run on other machines: their work must not take the daemon's processors.
NICENESS = 10

LET_STORM_RISE = """
    UPDATE webhook_deliveries SET next_retry_at = now() + make_interval(secs => $1)
     WHERE status = 'pending_retry'
"""
STORM_RISES = """
    SELECT extract(epoch FROM min(next_retry_at) - clock_timestamp())::float8
      FROM webhook_deliveries WHERE status = 'pending_retry'
"""
REPLAYED = "SELECT id::text FROM webhooks WHERE endpoint_url LIKE '%/replay/%'"


@dataclass(frozen=True, slots=True)
class Live:
    """A measurement of live events; `stack` is left when it ends."""

    bench: Bench
    variant: Variant
    run: Installation
    database: str
    db: asyncpg.Connection
    stack: AsyncExitStack
    visitors: list[Visitor] = field(default_factory=list)


Act: TypeAlias = Callable[[Live], Awaitable[None]]


async def nothing(_live: Live) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Scene:
    """
    What goes on beside the live events.

    `prepare` runs before the daemon starts, with these `settings`, `begin` when it has warmed up.
    Requests of each of the
    `kinds` show that it took place. With `backlog`, a number of requests of the first kind, it ends
    when these have arrived: only the events before that count as beside it. With
    `holds_transaction`, it has a server of its own; see `old_transaction`.
    """

    seed: Callable[[Bench], Seed]
    prepare: Act = nothing
    begin: Act = nothing
    settings: str = ""
    kinds: tuple[str, ...] = ()
    backlog: Callable[[Sizes], int] | None = None
    holds_transaction: bool = False


async def let_hostile_endpoints_in(live: Live) -> None:
    """Add endpoints that flood, and publish for them and for those that hang."""
    tenants = await seeds.tenants_of(live.db, "hang")
    for crowd in FLOODS:
        url = live.stack.enter_context(
            hostile_process(crowd, address=FLOODERS_ADDRESS, niceness=NICENESS)
        )
        tenants += await add_webhooks(live.db, f"{url}flood", tenants=2)
    load = SteadyLoad([await live.run.connect()], tenants, HOSTILE_PER_SECOND, EVENT_DATA)
    await live.stack.enter_async_context(_in_background(load.run_forever()))


async def prepare_storm(live: Live) -> None:
    """Let all pending deliveries be due at one time, once the daemon has warmed up."""
    await live.db.execute(LET_STORM_RISE, live.bench.sizes.storm_rises_in_seconds)
    await live.db.execute("VACUUM webhook_deliveries")


async def await_storm(live: Live) -> None:
    """Wait until the pending deliveries are due."""
    await asyncio.sleep(await live.db.fetchval(STORM_RISES) or 0.0)


async def replay_everything(live: Live) -> None:
    """Begin a replay of all stored events, as an operator does."""
    webhook = await live.db.fetchval(REPLAYED)
    await run_command(
        *(live.variant, live.database, live.bench.folder),
        *("replay", "--webhook", webhook, "--from", "2d", "--no-wait"),
    )


async def visit_the_console(live: Live) -> None:
    """Have somebody open the console's pages."""
    visiting = console.visiting(live.run, live.db)
    live.visitors.append(await live.stack.enter_async_context(visiting))


async def ask_the_api(live: Live) -> None:
    """Have a program ask the API's questions."""
    questioning = console.questioning(live.run, live.db)
    live.visitors.append(await live.stack.enter_async_context(questioning))


@asynccontextmanager
async def _in_background(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


SCENES = {
    "alone": Scene(lambda bench: seeds.live_only(bench.receiver.url)),
    "pending": Scene(
        lambda bench: seeds.million_pending(bench.receiver.url, bench.sizes), kinds=("slow",)
    ),
    "hostile": Scene(
        lambda bench: seeds.hostile(bench.receiver.url, bench.sizes),
        prepare=let_hostile_endpoints_in,
        kinds=("hang", "due"),
    ),
    "storm": Scene(
        lambda bench: seeds.retry_storm(bench.receiver.url, bench.sizes),
        prepare=prepare_storm,
        begin=await_storm,
        kinds=("storm",),
        backlog=lambda sizes: sizes.storm,
    ),
    "replay": Scene(
        lambda bench: seeds.stored_events(bench.receiver.url, bench.sizes),
        begin=replay_everything,
        kinds=("replay",),
        backlog=lambda sizes: sizes.replay,
    ),
    "console": Scene(
        lambda bench: console.many_deliveries(bench.receiver.url, bench.sizes),
        begin=visit_the_console,
        settings=console.SETTINGS,
    ),
    "questions": Scene(
        lambda bench: console.many_deliveries(bench.receiver.url, bench.sizes),
        begin=ask_the_api,
        settings=console.SETTINGS,
    ),
    "old-transaction": Scene(
        lambda bench: seeds.churned(bench.receiver.url), holds_transaction=True
    ),
}
