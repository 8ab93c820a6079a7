"""What tests of replays do over and over: count, begin, wait for the end."""

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

# Not so long ago that a daemon would forget it.
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)

# As they were left by a time in which nobody listened: no daemon hears of them.
STORE = """
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
    type: str = "email.opened",  # noqa: A002  the body's own word
    data: str = '{"email_id": "msg_1"}',
    since: datetime = YESTERDAY,
    apart: timedelta = timedelta(seconds=1),
) -> list[UUID]:
    """So many events of the past, which no fan-out takes up."""
    async with app.db.transaction():
        await app.db.execute("SET LOCAL session_replication_role = replica")
        rows = await app.db.fetch(STORE, tenant, type, data, since, apart, count)
    return [row["id"] for row in rows]


def wanted(
    webhook: UUID,
    *,
    tenant: UUID | None = None,
    source: ReplaySource = ReplaySource.EVENTS,
    since: datetime = YESTERDAY,
    to: datetime | None = None,
    types: Sequence[str] | None = None,
) -> ReplayRequest:
    return ReplayRequest(
        None if tenant is None else TenantId(tenant),
        WebhookId(webhook),
        source,
        since,
        to,
        None if types is None else tuple(types),
    )


async def count(app: Application, what: ReplayRequest) -> int:
    counted = await count_replay(app.db, what)
    assert counted is not None
    return counted.total


async def begin(app: Application, what: ReplayRequest) -> Replay:
    """Count, and begin."""
    counted = await count_replay(app.db, what)
    assert counted is not None
    return await begin_counted(app, counted)


async def begin_counted(app: Application, counted: CountedReplay) -> Replay:
    replay_id = await replays.create(app.db, counted)
    assert replay_id is not None
    return await look(app, replay_id)


async def look(app: Application, replay_id: ReplayId) -> Replay:
    replay = await replays.get(app.db, None, replay_id)
    assert replay is not None
    return replay


async def over(app: Application, replay_id: ReplayId, *, within: float = 30.0) -> Replay:
    """The replay, waited for until it does not run any more."""

    async def is_over() -> bool:
        return (await look(app, replay_id)).status is not ReplayStatus.RUNNING

    await until(is_over, within=within)
    return await look(app, replay_id)


async def cancel(app: Application, replay_id: ReplayId) -> Replay:
    async with app.db.transaction():
        cancelled = await replays.cancel(app.db, None, replay_id)
    assert cancelled is not None
    return cancelled


def on_the_wire(ids: Sequence[UUID]) -> list[str]:
    return [f"evt_{each.hex}" for each in ids]
