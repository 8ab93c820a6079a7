"""`webhookd retry`: retry one delivery, or all exhausted ones of a webhook or of a replay."""

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, load_config
from daemon.cli.support.time_options import FromOption, ToOption, time_range
from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.replays import CountedReplay, ReplayRequest
    from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class RetriedDelivery:
    """The attempt that is due now."""

    delivery_id: UUID

    def as_text(self) -> str:
        """One line for a person."""
        return f"{self.delivery_id} is due now"

    def as_json(self) -> str:
        """The same as a JSON object."""
        return json.dumps({"id": str(self.delivery_id)})


@dataclass(frozen=True, slots=True)
class RetriedDeliveries:
    """How many deliveries are retried, and by which replay; `reason` is why there are none."""

    count: int
    replay_id: UUID | None
    reason: str | None

    def as_text(self) -> str:
        """One line for a person."""
        if self.reason is not None:
            return self.reason
        return f"{self.count:,} deliveries are retried by the replay {self.replay_id}"

    def as_json(self) -> str:
        """The same as a JSON object."""
        replay_id = None if self.replay_id is None else str(self.replay_id)
        return json.dumps({"count": self.count, "replayId": replay_id})


DeliveryArgument = Annotated[
    UUID | None,
    typer.Argument(metavar="DELIVERY", help="The id of any of its attempts.", show_default=False),
]
WebhookOption = Annotated[
    UUID | None,
    typer.Option(
        help="Instead: retry this webhook's exhausted deliveries.",
        show_default=False,
        metavar="UUID",
    ),
]
ReplayOption = Annotated[
    UUID | None,
    typer.Option(
        help="Instead: retry what was given up in this replay.",
        show_default=False,
        metavar="REPLAY",
    ),
]


@app.command()
def retry(
    *,
    delivery: DeliveryArgument = None,
    webhook: WebhookOption = None,
    replay: ReplayOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Retry one delivery now, or all that were exhausted in a time range, a few at a time."""
    if (delivery, webhook, replay).count(None) != 2:
        raise UsageError("retry: give either a delivery, or --webhook and --from, or --replay")
    if webhook is None and (from_, to) != (None, None):
        raise UsageError("--from and --to: are valid only with --webhook")
    retried: RetriedDelivery | RetriedDeliveries
    if webhook is not None:
        retried = asyncio.run(_retry_all(load_config(config), _exhausted(webhook, from_, to)))
    elif replay is not None:
        retried = asyncio.run(_retry_failed_of(load_config(config), replay))
    else:
        assert delivery is not None
        retried = asyncio.run(_retry(load_config(config), delivery))
    print(retried.as_json() if json else retried.as_text())


def _exhausted(webhook: UUID, from_: str | None, to: str | None) -> "ReplayRequest":
    from daemon.core.model.ids import WebhookId
    from daemon.core.model.replays import ReplayRequest, ReplaySource

    times = time_range(from_, to)
    return ReplayRequest(None, WebhookId(webhook), ReplaySource.EXHAUSTED, *times)


async def _retry(config: "Config", delivery: UUID) -> RetriedDelivery:
    from daemon.cli.support.audit import command_record
    from daemon.cli.support.databases import verified_connection
    from daemon.core.model.ids import DeliveryId
    from daemon.store import audit
    from daemon.store.retries import (
        MAX_ATTEMPTS,
        RetryDue,
        TooLarge,
        TooOften,
        WebhookPaused,
        retry_now,
    )

    async with verified_connection(config) as db, db.transaction():
        retried = await retry_now(db, None, DeliveryId(delivery))
        if isinstance(retried, RetryDue):
            await audit.insert(
                db,
                command_record(
                    "retryDelivery",
                    await audit.tenant_of(db, retried.webhook_id),
                    object_type="delivery",
                    object_id=delivery,
                ),
            )
    if retried is None:
        raise WebhookdError(f"there is no delivery {delivery}")
    if isinstance(retried, TooLarge):
        raise WebhookdError("the body is larger than may be sent: it cannot be sent again")
    if isinstance(retried, TooOften):
        raise WebhookdError(f"the event was attempted {MAX_ATTEMPTS:,} times at this webhook")
    if isinstance(retried, WebhookPaused):
        raise WebhookdError(f"the webhook {retried.webhook_id} is paused: resume it first")
    return RetriedDelivery(retried.delivery_id)


async def _retry_failed_of(config: "Config", replay: UUID) -> RetriedDeliveries:
    from daemon.cli.support.databases import verified_connection
    from daemon.core.model.ids import ReplayId
    from daemon.core.model.replays import failed_of
    from daemon.store import replays

    async with verified_connection(config) as db:
        found = await replays.get(db, None, ReplayId(replay))
    if found is None:
        raise WebhookdError(f"there is no replay {replay}")
    return await _retry_all(config, failed_of(found))


async def _retry_all(config: "Config", request: "ReplayRequest") -> RetriedDeliveries:
    from daemon.cli.support.databases import verified_connection
    from daemon.replay.count import count_replay
    from daemon.replay.reasons import reason_for_nothing

    async with verified_connection(config) as db:
        counted = await count_replay(db, request, kept_for=config.retention.deliveries)
        if counted is None:
            raise WebhookdError(f"there is no webhook {request.webhook_id}")
        replay_id = await _begin(db, counted) if counted.total else None
    return RetriedDeliveries(counted.total, replay_id, reason_for_nothing(counted))


async def _begin(db: "Connection", counted: "CountedReplay") -> UUID | None:
    from daemon.cli.support.audit import command_record
    from daemon.store import audit, replays

    scope = counted.scope
    of_replay = scope.of_replay is not None
    async with db.transaction():
        created = await replays.create(db, counted)
        if isinstance(created, replays.AlreadyRunning):
            raise WebhookdError(f"they are being retried already: replay {created.replay_id}")
        record = command_record(
            "retryFailedOfReplay" if of_replay else "retryFailedDeliveries",
            scope.tenant_id,
            object_type="replay" if of_replay else "webhook",
            object_id=scope.of_replay or scope.webhook_id,
        )
        await audit.insert(db, record)
    return created
