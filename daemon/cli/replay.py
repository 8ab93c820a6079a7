"""`webhookd replay`: send stored events to a webhook again; count, begin, watch or cancel that."""

import asyncio
import sys
from dataclasses import dataclass, replace
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
OnlyUndeliveredOption = Annotated[
    bool | None,
    typer.Option(
        "--only-undelivered/--all",
        help="Leave out what the webhook has had, or send everything again. Default: leave it out"
        " if there is any.",
        show_default=False,
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
    only_undelivered: OnlyUndeliveredOption = None,
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
        if any((from_, to, type_, dry_run, no_wait)) or only_undelivered is not None:
            raise UsageError("--status and --cancel: take no other option of a replay")
        found = asyncio.run(_show_or_cancel(load_config(config), status, cancel))
        print(_as_json(found) if json else _as_text(found))
        return
    request = _request(webhook, from_, to, type_, only_undelivered=bool(only_undelivered))
    how = How(dry_run, wait=not no_wait, as_json=json, all_again=only_undelivered is False)
    code = asyncio.run(_replay(load_config(config), request, how))
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class How:
    """The action for a counted replay; `all_again` sends delivered events, too."""

    dry_run: bool
    wait: bool
    as_json: bool
    all_again: bool


def _request(
    webhook: UUID,
    from_: str | None,
    to: str | None,
    types: list[str] | None,
    *,
    only_undelivered: bool,
) -> "ReplayRequest":
    from daemon.core.model.ids import WebhookId
    from daemon.core.model.replays import ReplayRequest, ReplaySource

    return ReplayRequest(
        None,
        WebhookId(webhook),
        ReplaySource.EVENTS,
        *time_range(from_, to),
        event_types=tuple(types) if types else None,
        only_undelivered=only_undelivered,
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


async def _replay(config: "Config", request: "ReplayRequest", how: How) -> int:
    """Count the events, begin the replay and watch it; return the exit code."""
    from daemon.cli.support.databases import verified_connection
    from daemon.cli.support.replay_counts import as_json, as_text
    from daemon.cli.support.replay_watch import watch_replay
    from daemon.replay.count import count_replay

    async with verified_connection(config) as db:
        counted = await count_replay(
            db, request, kept_for=config.retention.deliveries, compare=True
        )
        if counted is None:
            raise WebhookdError(f"there is no webhook {request.webhook_id}")
        if not how.all_again:
            counted = _without_delivered(counted)
        if how.dry_run or not counted.total:
            print(as_json(counted) if how.as_json else as_text(counted))
            return 0
        begun = await _begin(db, counted)
        if not how.as_json:
            print(f"replay {begun.id}: {as_text(counted)}", flush=True)
        last = await watch_replay(db, begun) if how.wait else begun
    return _print_end(last, watched=how.wait, as_json=how.as_json)


def _without_delivered(counted: "CountedReplay") -> "CountedReplay":
    """The same without what the webhook has had, if there is any; says so if it was not asked."""
    assert counted.earlier is not None
    if counted.scope.only_undelivered or not counted.earlier.delivered:
        return counted
    note = (
        f"{counted.earlier.delivered:,} of the {counted.events.matched:,} events were delivered"
        " before and are left out; --all sends them again"
    )
    print(f"webhookd: {note}", file=sys.stderr)
    return replace(counted, scope=replace(counted.scope, only_undelivered=True))


async def _begin(db: "Connection", counted: "CountedReplay") -> "Replay":
    from daemon.store import replays

    async with db.transaction():
        created = await replays.create(db, counted)
        if isinstance(created, replays.AlreadyRunning):
            raise WebhookdError(f"the same replay is running already: {created.replay_id}")
        begun = None if created is None else await replays.get(db, None, created)
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
    parts = [f"{replay.status.value}: {replay.sent:,} of {replay.total:,} sent"]
    if replay.delivered is not None:
        parts.append(
            f"{replay.delivered:,} delivered, {replay.failed:,} failed, {replay.waiting:,} waiting"
        )
    if replay.changed:
        parts.append(f"{replay.changed:,} with data that may differ from what was sent first")
    if replay.reason:
        parts.append(replay.reason)
    if replay.paused:
        parts.append("waiting for its webhook to be resumed")
    return "; ".join(parts)


def _as_json(replay: "Replay") -> str:
    """The replay as the API returns it."""
    from daemon.admin.views.replays import replay_response

    return replay_response(replay).as_json().decode()
