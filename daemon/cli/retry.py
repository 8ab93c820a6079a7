"""`webhookd retry`: a delivery once more now, or all that were given up in a time."""

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, JsonOption, configured, connected, database_of
from daemon.cli.support.time_options import FromOption, ToOption, window
from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.core.model.replays import ReplayRequest


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt that is due now."""

    delivery_id: UUID

    def as_text(self) -> str:
        return f"{self.delivery_id} is due now"

    def as_json(self) -> str:
        return json.dumps({"id": str(self.delivery_id)})


@dataclass(frozen=True, slots=True)
class AllAgain:
    """How many deliveries are made again, and the replay that does it; None when there are none."""

    count: int
    replay_id: UUID | None

    def as_text(self) -> str:
        if self.replay_id is None:
            return "no delivery was given up in that time"
        return f"{self.count:,} deliveries are made again, by the replay {self.replay_id}"

    def as_json(self) -> str:
        replay_id = None if self.replay_id is None else str(self.replay_id)
        return json.dumps({"count": self.count, "replayId": replay_id})


@app.command()
def retry(
    *,
    delivery: Annotated[
        UUID | None,
        typer.Argument(metavar="DELIVERY", help="Any attempt's id.", show_default=False),
    ] = None,
    webhook: Annotated[
        UUID | None,
        typer.Option(
            help="Instead: all deliveries to this webhook that were given up in a time.",
            show_default=False,
            metavar="UUID",
        ),
    ] = None,
    from_: FromOption = None,
    to: ToOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make a delivery again, now, or all that were given up in a time, bit by bit."""
    if (delivery is None) == (webhook is None):
        raise UsageError("retry: name either a delivery, or --webhook and --from")
    made: Again | AllAgain
    if webhook is not None:
        made = asyncio.run(_retry_all(configured(config), _exhausted(webhook, from_, to)))
    elif from_ is None and to is None and delivery is not None:
        made = asyncio.run(_retry(configured(config), delivery))
    else:
        raise UsageError("--from and --to: go with --webhook alone")
    print(made.as_json() if json else made.as_text())


def _exhausted(webhook: UUID, from_: str | None, to: str | None) -> "ReplayRequest":
    from daemon.core.model.ids import WebhookId
    from daemon.core.model.replays import ReplayRequest, ReplaySource

    return ReplayRequest(None, WebhookId(webhook), ReplaySource.EXHAUSTED, *window(from_, to))


async def _retry(config: "Config", delivery: UUID) -> Again:
    from daemon.core.model.ids import DeliveryId
    from daemon.store.migrations import verify
    from daemon.store.retries import WebhookPaused, retry_now

    async with database_of(config) as url, connected(url) as db:
        await verify(db)
        async with db.transaction():
            retried = await retry_now(db, None, DeliveryId(delivery))
    if retried is None:
        raise WebhookdError(f"there is no delivery {delivery}")
    if isinstance(retried, WebhookPaused):
        raise WebhookdError(f"the webhook {retried.webhook_id} is paused: resume it first")
    return Again(retried.delivery_id)


async def _retry_all(config: "Config", wanted: "ReplayRequest") -> AllAgain:
    from daemon.replay.count import count_replay
    from daemon.store import replays
    from daemon.store.migrations import verify

    async with database_of(config) as url, connected(url) as db:
        await verify(db)
        counted = await count_replay(db, wanted)
        if counted is None:
            raise WebhookdError(f"there is no webhook {wanted.webhook_id}")
        replay_id = await replays.create(db, counted) if counted.total else None
    return AllAgain(counted.total, replay_id)
