"""`webhookd replay`: stored events once more to a webhook; counted, begun, watched to the end."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import (
    ConfigOption,
    JsonOption,
    configured,
    connected,
    database_of,
    switch,
)
from daemon.cli.support.time_options import FromOption, ToOption, window
from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from rich.progress import Progress

    from daemon.config import Config
    from daemon.core.model.replays import CountedReplay, Replay, ReplayRequest
    from daemon.store.database import Connection

LOOK_SECONDS = 0.2
# Longer than a daemon needs to notice a new replay, and to make the first piece of it.
PATIENCE_SECONDS = 5.0
INTERRUPTED = 130


@app.command()
def replay(
    *,
    webhook: Annotated[
        UUID | None,
        typer.Option(help="The webhook to send to.", show_default=False, metavar="UUID"),
    ] = None,
    from_: FromOption = None,
    to: ToOption = None,
    type_: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help="Of the types that the webhook takes, only this one; may be repeated. email.* and"
            " the like are understood.",
            show_default=False,
            metavar="TYPE",
        ),
    ] = None,
    dry_run: Annotated[bool, switch("--dry-run", "Count, and send nothing.")] = False,
    no_wait: Annotated[bool, switch("--no-wait", "Begin, and do not wait for the end.")] = False,
    status: Annotated[
        UUID | None,
        typer.Option(
            help="Instead: tell how far this replay is.", show_default=False, metavar="REPLAY"
        ),
    ] = None,
    cancel: Annotated[
        UUID | None,
        typer.Option(help="Instead: cancel this replay.", show_default=False, metavar="REPLAY"),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Send stored events to a webhook again, under the same ids, beside what is new.

    The running daemons do it. Ctrl-C ends the watching, not the replay.
    """
    if (webhook, status, cancel).count(None) != 2:
        raise UsageError("replay: name one of --webhook, --status and --cancel")
    if webhook is None:
        if any((from_, to, type_, dry_run, no_wait)):
            raise UsageError("--status and --cancel: take no other option of a replay")
        shown = asyncio.run(_look(configured(config), status, cancel))
        print(_as_json(shown) if json else _as_text(shown))
        return
    wanted = _wanted(webhook, from_, to, type_)
    code = asyncio.run(
        _replay(configured(config), wanted, dry_run=dry_run, wait=not no_wait, as_json=json)
    )
    raise typer.Exit(code)


def _wanted(
    webhook: UUID, from_: str | None, to: str | None, types: list[str] | None
) -> "ReplayRequest":
    from daemon.core.model.ids import WebhookId
    from daemon.core.model.replays import ReplayRequest, ReplaySource

    asked = tuple(types) if types else None
    return ReplayRequest(
        None, WebhookId(webhook), ReplaySource.EVENTS, *window(from_, to), event_types=asked
    )


async def _look(config: "Config", status: UUID | None, cancel: UUID | None) -> "Replay":
    """The replay whose status is asked for, or what has become of the one that is cancelled."""
    from daemon.core.model.ids import ReplayId
    from daemon.core.model.replays import ReplayStatus
    from daemon.store import replays
    from daemon.store.migrations import verify

    async with database_of(config) as url, connected(url) as db:
        await verify(db)
        if cancel is None:
            assert status is not None
            found = await replays.get(db, None, ReplayId(status))
        else:
            async with db.transaction():
                found = await replays.cancel(db, None, ReplayId(cancel))
    if found is None:
        raise WebhookdError(f"there is no replay {status or cancel}")
    if cancel is not None and found.status is ReplayStatus.COMPLETED:
        raise WebhookdError(f"the replay is over: {_as_text(found)}")
    return found


async def _replay(
    config: "Config", wanted: "ReplayRequest", *, dry_run: bool, wait: bool, as_json: bool
) -> int:
    from daemon.replay.count import count_replay
    from daemon.store.migrations import verify

    async with database_of(config) as url, connected(url) as db:
        await verify(db)
        counted = await count_replay(db, wanted)
        if counted is None:
            raise WebhookdError(f"there is no webhook {wanted.webhook_id}")
        if dry_run or not counted.total:
            _tell_count(counted.total, as_json=as_json)
            return 0
        begun = await _begin(db, counted)
        if not as_json:
            print(f"replay {begun.id}: {begun.total:,} events", flush=True)
        last = await _follow(db, begun) if wait else begun
    return _tell_end(last, watched=wait, as_json=as_json)


def _tell_count(total: int, *, as_json: bool) -> None:
    print(json.dumps({"total": total}) if as_json else f"{total:,} events")


async def _begin(db: "Connection", counted: "CountedReplay") -> "Replay":
    from daemon.store import replays

    replay_id = await replays.create(db, counted)
    begun = None if replay_id is None else await replays.get(db, None, replay_id)
    if begun is None:
        raise WebhookdError("the webhook has just been deleted")
    return begun


async def _follow(db: "Connection", replay: "Replay") -> "Replay":
    """Watch a replay until it is over, or we are told to stop; what it has come to."""
    from daemon.cli.support.signals import stop_on_signals
    from daemon.core.model.replays import ReplayStatus
    from daemon.runtime.loop import sleep_until_woken
    from daemon.store import replays

    stop = asyncio.Event()
    stop_on_signals(stop)
    loop = asyncio.get_running_loop()
    impatient_at, told = loop.time() + PATIENCE_SECONDS, set[str]()
    with _progress() as progress:
        task = progress.add_task("", total=replay.total)
        while replay.status is ReplayStatus.RUNNING and not stop.is_set():
            progress.update(task, completed=replay.sent, total=replay.total)
            why = _why_it_waits(replay, patience_is_over=loop.time() > impatient_at)
            if why is not None and why not in told:
                told.add(why)
                progress.console.print(f"webhookd: {why}", soft_wrap=True)
            await sleep_until_woken(stop, LOOK_SECONDS)
            found = await replays.get(db, None, replay.id)
            if found is None:
                raise WebhookdError("the webhook was deleted, and the replay with it")
            replay = found
        progress.update(task, completed=replay.sent, total=replay.total)
    return replay


def _progress() -> "Progress":
    """On stderr, and on a terminal alone."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False)
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _why_it_waits(replay: "Replay", *, patience_is_over: bool) -> str | None:
    if replay.paused:
        return "the webhook is paused: the replay waits until it is resumed"
    if patience_is_over and not replay.begun:
        return "not begun yet: no daemon runs, or another replay of the webhook goes first"
    return None


def _tell_end(replay: "Replay", *, watched: bool, as_json: bool) -> int:
    """Print how it ended, or goes on; the exit code."""
    from daemon.core.model.replays import ReplayStatus

    if replay.status is ReplayStatus.CANCELLED:
        raise WebhookdError(f"the replay was {_as_text(replay)}")
    if as_json:
        print(_as_json(replay))
    elif replay.status is ReplayStatus.COMPLETED:
        print(_as_text(replay))
    if replay.status is ReplayStatus.RUNNING and watched:
        told = f"the replay goes on; to stop it: webhookd replay --cancel {replay.id}"
        print(f"webhookd: {told}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _as_text(replay: "Replay") -> str:
    waits = "; it waits for its webhook to be resumed" if replay.paused else ""
    return f"{replay.status.value}: {replay.sent:,} of {replay.total:,} sent{waits}"


def _as_json(replay: "Replay") -> str:
    """As the API tells it."""
    from daemon.admin.views.replays import replay_response

    return replay_response(replay).model_dump_json(by_alias=True)
