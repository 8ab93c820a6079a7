"""Fan-out goes on for all tenants, whatever the subscriptions of one of them contain."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
import pytest

from daemon.core.matching import compiler
from daemon.core.matching.matcher import Condition
from daemon.core.model.events import Event
from daemon.core.model.ids import TenantId
from daemon.pipeline import fanout, subscription_pages
from daemon.pipeline.delivery_inserter import MatchedEvent
from daemon.pipeline.event_matcher import EventMatcher
from daemon.pipeline.first_attempts import FirstAttempts
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.runtime import time_slice
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

UNUSABLE: dict[str, tuple[str, str]] = {
    "types in two dimensions": (
        "UPDATE webhooks SET event_types = ARRAY[['a', 'b'], ['c', 'd']]",
        "event_types: a list is not an event type.",
    ),
    "too many types": (
        "UPDATE webhooks SET event_types = array_fill('a'::text, ARRAY[100000])",
        "event_types: at most 100 entries are allowed.",
    ),
    "a path of 330000 segments": (
        """UPDATE webhooks SET event_filters =
           jsonb_build_object('filters', jsonb_build_object(repeat('aB.', 330000) || 'aB', 1))""",
        "event_filters: must be at most 16384 characters long, as JSON text.",
    ),
}


@pytest.mark.parametrize(("change", "reason"), UNUSABLE.values(), ids=UNUSABLE)
async def test_an_unusable_subscription_is_shown_on_its_webhook_and_stops_no_other(
    app: Application, database: str, receiver: Receiver, change: str, reason: str
) -> None:
    tenant = await app.tenant()
    bad = await app.webhook(tenant, receiver.url + "/bad")
    await app.db.execute(f"{change} WHERE id = $1", bad)
    good = await app.webhook(tenant, receiver.url + "/good")
    other = await app.webhook(await app.tenant(), receiver.url + "/other")
    async with serving(database):
        await app.event(tenant)
        await app.event((await app.health(other))["tenant_id"])
        for webhook in (good, other):
            await until(lambda webhook=webhook: settled(app, webhook, "success", 1))

    assert (await app.health(bad))["filter_error"] == reason
    assert await app.deliveries(bad) == []


async def test_a_tenant_whose_subscriptions_are_known_does_not_wait_for_anothers_to_be_read(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, new = await app.tenant(), await app.tenant()
    for tenant, path in ((known, "/known"), (new, "/new")):
        await app.webhook(tenant, receiver.url + path)
    original, may_read = SubscriptionCache.load_few, asyncio.Event()

    async def load_few(cache: SubscriptionCache, tenants: Iterable[TenantId]) -> set[TenantId]:
        wanted = set(tenants)
        if new in wanted:
            await may_read.wait()
        return await original(cache, wanted)

    monkeypatch.setattr(SubscriptionCache, "load_few", load_few)
    async with serving(database):
        await app.event(known)
        await until(lambda: receiver.at("/known"))
        async with app.db.transaction():  # both are leased together
            await app.event(new)
            await app.event(known)
        await until(lambda: len(receiver.at("/known")) == 2)
        assert receiver.at("/new") == []
        may_read.set()
        await until(lambda: receiver.at("/new"))


async def test_of_more_deliveries_than_a_turn_begins_those_of_tenants_with_few_come_first(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "TURN_DELIVERIES", 10)
    begun: list[int] = []
    original = FirstAttempts.begin

    async def begin(
        self: FirstAttempts, matched: Sequence[MatchedEvent], *rest: Any, **more: Any
    ) -> Any:
        begun.extend(len(each.webhooks) for each in matched)
        return await original(self, matched, *rest, **more)

    monkeypatch.setattr(FirstAttempts, "begin", begin)
    wide = [await app.tenant() for _ in range(3)]
    narrow = await app.tenant()
    for tenant in wide:
        for number in range(6):
            await app.webhook(tenant, f"{receiver.url}/wide/{number}")
    await app.webhook(narrow, receiver.url + "/narrow")
    async with serving(database):
        async with app.db.transaction():  # they are leased together
            for tenant in (*wide, narrow):
                await app.event(tenant)
        await until(lambda: len(receiver.received) == 19)

    assert sorted(begun) == [1, 6]


async def test_an_event_whose_matching_fails_by_a_fault_of_ours_stops_no_other(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await app.tenant(), await app.tenant()
    await app.webhook(bad, receiver.url + "/bad", filters={"filters": {"a": 1}})
    await app.webhook(good, receiver.url + "/good", filters={"filters": {"a": 1}})
    original = EventMatcher.subscribers_of

    async def subscribers_of(matcher: EventMatcher, event: Event, *rest: Any, **more: Any) -> Any:
        if event.tenant_id == bad:
            raise ValueError
        return await original(matcher, event, *rest, **more)

    monkeypatch.setattr(EventMatcher, "subscribers_of", subscribers_of)
    async with serving(database):
        async with app.db.transaction():  # they are leased together
            await app.event(bad, {"a": 1})
            await app.event(good, {"a": 1})
        await until(lambda: receiver.at("/good"))

    assert receiver.at("/bad") == []


async def test_a_null_among_the_types_matches_no_type_and_stops_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    nulls = await app.webhook(tenant, receiver.url + "/nulls")
    await app.db.execute(
        "UPDATE webhooks SET event_types = ARRAY[NULL, 'email.opened'] WHERE id = $1", nulls
    )
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, nulls, "success", 1))


async def test_a_filter_whose_evaluation_fails_affects_its_own_webhook_alone(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Condition, data: Any) -> bool:
        raise RuntimeError("a fault of ours")

    tenant = await app.tenant()
    filtered = await app.webhook(
        tenant, receiver.url + "/filtered", filters={"campaign_ids": ["a"]}
    )
    good = await app.webhook(tenant, receiver.url + "/good")
    monkeypatch.setattr(Condition, "decide", failing)
    async with serving(database):
        await app.event(tenant, {"campaign_id": "a"})
        await until(lambda: settled(app, good, "success", 1))

    assert "because of a fault of ours" in (await app.health(filtered))["filter_error"]


async def test_the_event_loop_has_turns_while_hundreds_of_filters_are_compiled(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await app.tenant()
    await insert_webhooks_with_filters(app, tenant, 300, url=receiver.url)
    turns: list[int] = []
    compiled = 0

    def compile_and_count(*arguments: Any) -> Any:
        nonlocal compiled
        compiled += 1
        turns.append(turn)
        return original(*arguments)

    original, turn = compiler.compile_subscription, 0
    monkeypatch.setattr(time_slice, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(subscription_pages, "compile_subscription", compile_and_count)

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count_turns())
    async with serving(database):
        await app.event(tenant, {"a": 1})
        await until(lambda: compiled >= 300)
    counter.cancel()

    assert len(set(turns[:300])) == 300


async def insert_webhooks_with_filters(
    app: Application, tenant: UUID, count: int, *, url: str
) -> None:
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, event_filters)"
        " SELECT $1, n, $2, 'whsec_x', $3 FROM generate_series(1, $4::int) n",
        tenant,
        url,
        orjson.dumps({"filters": {"a": [2]}}).decode(),
        count,
    )
