"""Events of the past, and replays of them: counted, started, awaited, cancelled."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import (
    CountedReplay,
    Replay,
    ReplayRequest,
    ReplaySource,
    ReplayStatus,
)
from daemon.replay.count import count_replay
from daemon.store import replays
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.receiver import Receiver

HOUR = timedelta(hours=1)
KEPT_FOR = timedelta(days=30)  # the default of `retention.deliveries`
# Recent enough for retention to keep it, and a little more than 24 hours ago.
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1, minutes=20)

INSERT_EVENTS = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)
    SELECT gen_random_uuid(), $1, $2, $3, $4::timestamptz + n * $5::interval
      FROM generate_series(0, $6::int - 1) AS n
 RETURNING id
"""


async def store_events(
    app: Application,
    tenant: UUID,
    count: int,
    *,
    type: str = "email.opened",  # noqa: A002  the name of the body's member
    data: str = '{"email_id": "msg_1"}',
    since: datetime = YESTERDAY,
    apart: timedelta = timedelta(seconds=1),
) -> list[UUID]:
    """Insert events of the past without firing the trigger: no daemon fans them out."""
    async with app.db.transaction():
        await app.db.execute("SET LOCAL session_replication_role = replica")
        rows = await app.db.fetch(INSERT_EVENTS, tenant, type, data, since, apart, count)
    return [row["id"] for row in rows]


def request_for(
    webhook: UUID,
    *,
    tenant: UUID | None = None,
    source: ReplaySource = ReplaySource.EVENTS,
    since: datetime = YESTERDAY,
    to: datetime | None = None,
    types: Sequence[str] | None = None,
    only_undelivered: bool = False,
) -> ReplayRequest:
    """A request to replay to a webhook, by default all events since yesterday."""
    return ReplayRequest(
        None if tenant is None else TenantId(tenant),
        WebhookId(webhook),
        source,
        since,
        to,
        None if types is None else tuple(types),
        only_undelivered=only_undelivered,
    )


async def count(app: Application, request: ReplayRequest) -> int:
    """Return how many deliveries the replay would make."""
    counted = await count_replay(app.db, request, kept_for=KEPT_FOR)
    assert counted is not None
    return counted.total


async def counts(app: Application, request: ReplayRequest) -> CountedReplay:
    """Return what the replay would do, compared with earlier deliveries."""
    counted = await count_replay(app.db, request, kept_for=KEPT_FOR, compare=True)
    assert counted is not None
    return counted


async def start(app: Application, request: ReplayRequest) -> Replay:
    """Count and create a replay."""
    replay_id = await replays.create(app.db, await counts(app, request))
    assert replay_id is not None
    assert not isinstance(replay_id, replays.AlreadyRunning)
    return await get_replay(app, replay_id)


async def get_replay(app: Application, replay_id: ReplayId) -> Replay:
    """Return a replay as it is now."""
    replay = await replays.get(app.db, None, replay_id)
    assert replay is not None
    return replay


async def until_ended(app: Application, replay_id: ReplayId, *, within: float = 30.0) -> Replay:
    """Wait until the replay no longer runs, and return it."""

    async def has_ended() -> bool:
        return (await get_replay(app, replay_id)).status is not ReplayStatus.RUNNING

    await until(has_ended, within=within)
    return await get_replay(app, replay_id)


async def cancel(app: Application, replay_id: ReplayId) -> Replay:
    """Cancel a replay, and return it."""
    async with app.db.transaction():
        cancelled = await replays.cancel(app.db, None, replay_id)
    assert cancelled is not None
    return cancelled


async def set_active(app: Application, webhook: UUID, active: bool) -> None:
    """Resume or pause a webhook."""
    await app.db.execute("UPDATE webhooks SET is_active = $2 WHERE id = $1", webhook, active)


def public_ids(ids: Sequence[UUID]) -> list[str]:
    """The ids of events as receivers see them."""
    return [f"evt_{each.hex}" for each in ids]


def received(receiver: Receiver, path: str = "/hook") -> list[str]:
    """The ids of the received events, sorted; duplicates are kept."""
    return sorted(request.event["id"] for request in receiver.at(path))
