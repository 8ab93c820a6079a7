"""`webhookd retry`: retry one delivery now, or all exhausted deliveries of a webhook."""

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
    from daemon.core.model.replays import ReplayRequest


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
class RetriedWebhook:
    """How many deliveries are retried, and by which replay; None when there are none."""

    count: int
    replay_id: UUID | None

    def as_text(self) -> str:
        """One line for a person."""
        if self.replay_id is None:
            return "no delivery was exhausted in that time"
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


@app.command()
def retry(
    *,
    delivery: DeliveryArgument = None,
    webhook: WebhookOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Retry one delivery now, or all that were exhausted in a time range, a few at a time."""
    if (delivery is None) == (webhook is None):
        raise UsageError("retry: give either a delivery, or --webhook and --from")
    retried: RetriedDelivery | RetriedWebhook
    if webhook is not None:
        retried = asyncio.run(_retry_all(load_config(config), _exhausted(webhook, from_, to)))
    elif from_ is None and to is None and delivery is not None:
        retried = asyncio.run(_retry(load_config(config), delivery))
    else:
        raise UsageError("--from and --to: are valid only with --webhook")
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
    from daemon.store.retries import RetryDue, TooLarge, WebhookPaused, retry_now

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
    if isinstance(retried, WebhookPaused):
        raise WebhookdError(f"the webhook {retried.webhook_id} is paused: resume it first")
    return RetriedDelivery(retried.delivery_id)


async def _retry_all(config: "Config", request: "ReplayRequest") -> RetriedWebhook:
    from daemon.cli.support.audit import command_record
    from daemon.cli.support.databases import verified_connection
    from daemon.replay.count import count_replay
    from daemon.store import audit, replays

    async with verified_connection(config) as db:
        counted = await count_replay(db, request)
        if counted is None:
            raise WebhookdError(f"there is no webhook {request.webhook_id}")
        replay_id = None
        if counted.total:
            async with db.transaction():
                replay_id = await replays.create(db, counted)
                await audit.insert(
                    db,
                    command_record(
                        "retryFailedDeliveries",
                        counted.scope.tenant_id,
                        object_type="webhook",
                        object_id=counted.scope.webhook_id,
                    ),
                )
    return RetriedWebhook(counted.total, replay_id)
