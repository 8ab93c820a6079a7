"""Claims of a tenant for which the database takes long delay no other's, and miss nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from daemon.core.errors import DatabaseUnavailableError
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.lanes import LaneTurn
from daemon.pipeline import claims_aside
from daemon.pipeline.claims_aside import TENANTS_AT_ONCE
from daemon.store import claims
from daemon.store.session import Connection, prepare
from tests.pipeline.test_dispatcher import (
    ScriptedAttempts,
    count,
    deliver,
    has_delivered,
    insert_pending,
    running,
)
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery

URL = "https://receiver.example/"
EARLIER = datetime(2025, 1, 1, tzinfo=UTC)
DEAD = 5000


class SlowClaims:
    """The database takes long for `slow` webhooks; knows what was claimed together, and at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slow: Sequence[WebhookId]) -> None:
        self.together: list[set[WebhookId]] = []
        self.most_at_once = 0
        self.errors: list[Exception] = []
        self._slow = set(slow)
        self._at_once = 0
        self._original = claims.claim
        monkeypatch.setattr(claims, "claim", self._claim)
        monkeypatch.setattr(claims_aside, "LONGEST_REST_SECONDS", 0.01)

    async def _claim(self, db: Connection, turns: Sequence[LaneTurn], **options: Any) -> Any:
        asked = {turn.webhook_id for turn in turns}
        self.together.append(asked)
        if asked & self._slow and self.errors:
            raise self.errors.pop()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0.02 if asked & self._slow else 0)
            lanes = await self._original(db, turns, **options)
        finally:
            self._at_once -= 1
        for webhook_id, lane in lanes.items():
            lane.seconds = 1.0 if webhook_id in self._slow else 0.0
        return lanes


async def webhooks_of(app: Application, count: int) -> list[WebhookId]:
    return [WebhookId(await app.webhook(await app.tenant(), URL)) for _ in range(count)]


def tenant_of(webhook: WebhookId) -> TenantId:
    return TenantId(UUID(int=webhook.int ^ 1))  # lanes only tell tenants apart


async def test_a_slow_tenant_is_claimed_alone_from_then_on_and_gets_everything(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, *others = webhooks = await webhooks_of(app, 4)
    made = SlowClaims(monkeypatch, [slow])
    async with running(database, ScriptedAttempts(deliver)) as parts:

        async def deliver_to_all(due_at: datetime, total: int) -> None:
            for webhook in webhooks:
                await insert_delivery(app, webhook, next_retry_at=due_at)
            for webhook in webhooks:
                parts.waker.announce(webhook, 0.0, due_at, tenant_id=tenant_of(webhook))
            await until(lambda: has_delivered(app, total))

        await deliver_to_all(EARLIER, 4)
        first = len(made.together)
        for turn in range(1, 4):  # what is inserted later may be due earlier
            await deliver_to_all(EARLIER - timedelta(days=turn), 4 + 4 * turn)

    assert {slow, *others} in made.together[:first]
    assert all(each == {slow} for each in made.together[first:] if slow in each)
    assert {slow} in made.together[first:]


async def test_few_slow_tenants_are_claimed_at_once_and_others_beside_them(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    *slow, quick = webhooks = await webhooks_of(app, 6)
    made = SlowClaims(monkeypatch, slow)
    async with running(database, ScriptedAttempts(deliver)) as parts:
        for total in range(1, 4):
            for webhook in webhooks:
                await insert_pending(app, webhook)
                parts.waker.announce(webhook, 0.0, None, tenant_id=tenant_of(webhook))
            await until(lambda total=total: has_delivered(app, 6 * total))
        await until(lambda: parts.lanes.held == 0)

    assert made.most_at_once <= TENANTS_AT_ONCE + 1
    assert {quick} in made.together


async def test_a_claim_apart_from_others_that_fails_is_made_again(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [slow] = await webhooks_of(app, 1)
    made = SlowClaims(monkeypatch, [slow])
    async with running(database, ScriptedAttempts(deliver)) as parts:
        await insert_pending(app, slow)
        parts.waker.announce(slow, 0.0, None, tenant_id=tenant_of(slow))
        await until(lambda: has_delivered(app, 1))
        made.errors = [DatabaseUnavailableError("gone"), RuntimeError("a bug")]
        await insert_pending(app, slow, 3)
        parts.waker.announce(slow, 0.0, None, tenant_id=tenant_of(slow))
        await until(lambda: has_delivered(app, 4))
        await until(lambda: parts.lanes.held == 0)

    assert made.errors == []


async def test_a_claim_tells_for_which_webhook_dead_rows_were_passed(
    app: Application, database: str
) -> None:
    dead, quick = await webhooks_of(app, 2)
    await prepare(app.db)
    old = await asyncpg.connect(database)
    await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM webhooks")
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, status,"
        " next_retry_at) SELECT $1, gen_random_uuid(), 'a', '{}', 'pending_retry', $2"
        " FROM generate_series(1, $3::int)",
        *(dead, EARLIER, DEAD),
    )
    await app.db.execute("DELETE FROM webhook_deliveries WHERE webhook_id = $1", dead)
    for webhook in (dead, quick):
        await insert_delivery(app, webhook, next_retry_at=EARLIER)
    turns = [LaneTurn(each, 5, EARLIER) for each in (quick, dead)]

    for _ in range(10):  # on a busy machine, any moment may take longer
        await app.db.execute("UPDATE webhook_deliveries SET leased_until = NULL")
        lanes = await claims.claim(app.db, turns, lease=timedelta(seconds=30), most_bytes=1000)
        # Of one statement: passing five thousand rows against none.
        if lanes[dead].seconds > lanes[quick].seconds:
            break

    await old.close()
    assert [len(lanes[each].claims) for each in (dead, quick)] == [1, 1]
    assert lanes[dead].seconds > lanes[quick].seconds
    assert await count(app, "leased_until IS NOT NULL") == 2
