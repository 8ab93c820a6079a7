"""`webhookd replay`: send stored events to a webhook again; count, begin, watch or cancel that."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, load_config, switch
from daemon.cli.support.time_options import FromOption, ToOption, time_range
from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.replays import CountedReplay, Replay, ReplayRequest
    from daemon.store.session import Connection

INTERRUPTED = 130

WebhookOption = Annotated[
    UUID | None, typer.Option(help="The webhook to send to.", show_default=False, metavar="UUID")
]
TypeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        help="Only this type, among those that the webhook subscribes to; may be repeated, and may"
        " hold a wildcard (email.*).",
        show_default=False,
        metavar="TYPE",
    ),
]
StatusOption = Annotated[
    UUID | None,
    typer.Option(
        help="Instead: show the progress of this replay.", show_default=False, metavar="REPLAY"
    ),
]
CancelOption = Annotated[
    UUID | None,
    typer.Option(help="Instead: cancel this replay.", show_default=False, metavar="REPLAY"),
]


@app.command()
def replay(
    *,
    webhook: WebhookOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    type_: TypeOption = None,
    dry_run: Annotated[bool, switch("--dry-run", "Count the events, and send nothing.")] = False,
    no_wait: Annotated[bool, switch("--no-wait", "Begin the replay and exit.")] = False,
    status: StatusOption = None,
    cancel: CancelOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """
    Send stored events to a webhook again, with the same event ids.

    The running daemons send them, along with new events. Ctrl-C stops the watching, but not the
    replay.
    """
    if (webhook, status, cancel).count(None) != 2:
        raise UsageError("replay: give exactly one of --webhook, --status and --cancel")
    if webhook is None:
        if any((from_, to, type_, dry_run, no_wait)):
            raise UsageError("--status and --cancel: take no other option of a replay")
        found = asyncio.run(_show_or_cancel(load_config(config), status, cancel))
        print(_as_json(found) if json else _as_text(found))
        return
    request = _request(webhook, from_, to, type_)
    code = asyncio.run(
        _replay(load_config(config), request, dry_run=dry_run, wait=not no_wait, as_json=json)
    )
    raise typer.Exit(code)


def _request(
    webhook: UUID, from_: str | None, to: str | None, types: list[str] | None
) -> "ReplayRequest":
    from daemon.core.model.ids import WebhookId
    from daemon.core.model.replays import ReplayRequest, ReplaySource

    return ReplayRequest(
        None,
        WebhookId(webhook),
        ReplaySource.EVENTS,
        *time_range(from_, to),
        event_types=tuple(types) if types else None,
    )


async def _show_or_cancel(config: "Config", status: UUID | None, cancel: UUID | None) -> "Replay":
    """Return the replay that `status` names, or the one that `cancel` names, cancelled."""
    from daemon.cli.support.databases import verified_connection
    from daemon.core.model.ids import ReplayId
    from daemon.core.model.replays import ReplayStatus
    from daemon.store import replays

    async with verified_connection(config) as db:
        if cancel is None:
            assert status is not None
            found = await replays.get(db, None, ReplayId(status))
        else:
            async with db.transaction():
                found = await replays.cancel(db, None, ReplayId(cancel))
                if found is not None:
                    await _record(db, "cancelReplay", found)
    if found is None:
        raise WebhookdError(f"there is no replay {status or cancel}")
    if cancel is not None and found.status is ReplayStatus.COMPLETED:
        raise WebhookdError(f"the replay has already ended: {_as_text(found)}")
    return found


async def _replay(
    config: "Config", request: "ReplayRequest", *, dry_run: bool, wait: bool, as_json: bool
) -> int:
    """Count the events, begin the replay and watch it; return the exit code."""
    from daemon.cli.support.databases import verified_connection
    from daemon.cli.support.replay_watch import watch_replay
    from daemon.replay.count import count_replay

    async with verified_connection(config) as db:
        counted = await count_replay(db, request)
        if counted is None:
            raise WebhookdError(f"there is no webhook {request.webhook_id}")
        if dry_run or not counted.total:
            _print_count(counted.total, as_json=as_json)
            return 0
        begun = await _begin(db, counted)
        if not as_json:
            print(f"replay {begun.id}: {begun.total:,} events", flush=True)
        last = await watch_replay(db, begun) if wait else begun
    return _print_end(last, watched=wait, as_json=as_json)


def _print_count(total: int, *, as_json: bool) -> None:
    print(json.dumps({"total": total}) if as_json else f"{total:,} events")


async def _begin(db: "Connection", counted: "CountedReplay") -> "Replay":
    from daemon.store import replays

    async with db.transaction():
        replay_id = await replays.create(db, counted)
        begun = None if replay_id is None else await replays.get(db, None, replay_id)
        if begun is None:
            raise WebhookdError("the webhook has just been deleted")
        await _record(db, "createReplay", begun)
    return begun


async def _record(db: "Connection", action: str, replay: "Replay") -> None:
    from daemon.cli.support.audit import command_record
    from daemon.store import audit

    await audit.insert(
        db,
        command_record(action, replay.tenant_id, object_type="replay", object_id=replay.id),
    )


def _print_end(replay: "Replay", *, watched: bool, as_json: bool) -> int:
    """Print how the replay ended, or that it continues; return the exit code."""
    from daemon.core.model.replays import ReplayStatus

    if replay.status is ReplayStatus.CANCELLED:
        raise WebhookdError(f"the replay was {_as_text(replay)}")
    if as_json:
        print(_as_json(replay))
    elif replay.status is ReplayStatus.COMPLETED:
        print(_as_text(replay))
    if replay.status is ReplayStatus.RUNNING and watched:
        hint = f"the replay continues; to stop it: webhookd replay --cancel {replay.id}"
        print(f"webhookd: {hint}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _as_text(replay: "Replay") -> str:
    paused = "; waiting for its webhook to be resumed" if replay.paused else ""
    return f"{replay.status.value}: {replay.sent:,} of {replay.total:,} sent{paused}"


def _as_json(replay: "Replay") -> str:
    """The replay as the API returns it."""
    from daemon.admin.views.replays import replay_response

    return replay_response(replay).model_dump_json(by_alias=True)
