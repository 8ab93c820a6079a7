"""What a webhook's owner sets about its deliveries holds however an attempt is made."""

import asyncio
import time
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Received, Receiver, Reply

NO_RETRIES: dict[str, Any] = {"retry_schedule": [], "failing_backoff": "0s"}
USUAL = {"timeout": "500ms"} | NO_RETRIES


async def configure(app: Application, webhook: UUID, **columns: object) -> None:
    for name, value in columns.items():
        await app.db.execute(f"UPDATE webhooks SET {name} = $1 WHERE id = $2", value, webhook)


async def errors(app: Application, webhook: UUID) -> list[str | None]:
    rows = await app.deliveries(webhook)
    return [row["error_message"] for row in rows if row["status"] != "pending_retry"]


@pytest.mark.full
async def test_an_answer_after_29_seconds_is_in_time_with_the_longest_timeout(
    app: Application, database: str, receiver: Receiver
) -> None:
    """The short form of it is the next test."""
    receiver.answer = lambda _: Reply(after=29.0)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving_api(database, tenant) as api, serving(database):
        await patch(api, webhook, "timeout", "30s")
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1), within=60)

    assert len(receiver.received) == 1
    [row] = await app.deliveries(webhook)
    assert row["duration_ms"] >= 29_000


async def test_a_longer_timeout_lets_a_slow_receiver_answer_and_holds_for_its_webhook_only(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=1.2)
    tenant = await app.tenant()
    patient = await app.webhook(tenant, f"{receiver.url}/patient")
    usual = await app.webhook(tenant, f"{receiver.url}/usual")
    await configure(app, patient, timeout_ms=3000)
    async with serving_api(database, tenant, delivery=USUAL) as api:
        await app.event(tenant)
        await until(lambda: settled(app, patient, "success", 1))
        await app.event(tenant)  # on the connection that is open
        await until(lambda: settled(app, patient, "success", 2))
        await until(lambda: settled(app, usual, "failed", 2))
        tested = await api.post(f"/api/webhooks/{patient}/test")
        refused = await api.post(f"/api/webhooks/{usual}/test")

    assert (tested.status, refused.status) == (200, 400)
    assert len(receiver.at("/patient")) == 3
    assert set(await errors(app, usual)) == {"no complete response within 0.5 s"}


async def test_a_shorter_timeout_ends_first_attempts_claims_and_plain_requests(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await configure(app, webhook, timeout_ms=1000)
    slow = [False]
    receiver.answer = lambda _: Reply(after=20.0 if slow[0] else 0.0)
    settings = {"timeout": "15s", "retry_schedule": ["10ms"], "failing_backoff": "0s"}
    async with serving(database, delivery=settings):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        slow[0] = True
        await app.event(tenant)  # on the connection that is open; its retry on a new one
        await until(lambda: settled(app, webhook, "failed", 2))

    rows = [row for row in await app.deliveries(webhook) if row["status"] == "failed"]
    assert {row["error_message"] for row in rows} == {"no complete response within 1 s"}
    assert all(row["duration_ms"] < 10_000 for row in rows)
    assert receiver.open_most == 2


async def test_an_attempt_that_takes_longer_than_the_usual_lease_is_made_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    """Its lease, not that of the event, covers it; a second daemon looks for lapsed ones."""
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await configure(app, webhook, timeout_ms=30_000)
    receiver.answer = lambda _: Reply(after=2.0)
    async with serving(database, delivery=USUAL), serving(database, delivery=USUAL):
        await app.event(tenant)
        await until(lambda: receiver.received)
        lease = await app.db.fetchval(
            "SELECT extract(epoch FROM leased_until - now())::float8 FROM webhook_deliveries"
        )
        waiting = await app.db.fetchval("SELECT count(*) FROM webhook_event_inbox")
        await until(lambda: settled(app, webhook, "success", 1))

    assert 50 < lease <= 55
    assert waiting == 0
    assert len(receiver.received) == 1


SCHEDULES = {"quick": ["10ms", "20ms"], "none": []}


async def test_a_webhook_is_retried_by_the_schedule_that_it_names(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503)
    tenant = await app.tenant()
    webhooks = {
        name: await app.webhook(tenant, f"{receiver.url}/{name}")
        for name in ("quick", "none", "gone", "usual")
    }
    for name in ("quick", "none", "gone"):
        await configure(app, webhooks[name], retry_schedule=name)
    settings = {"retry_schedule": ["10ms"], "retry_schedules": SCHEDULES, "failing_backoff": "0s"}
    async with serving(database, delivery=settings):
        await app.event(tenant)
        expected = {"quick": 3, "none": 1, "gone": 2, "usual": 2}
        for name, attempts in expected.items():
            await until(lambda: settled(app, webhooks[name], "failed", attempts))  # noqa: B023

    for name, attempts in expected.items():
        assert len(await app.deliveries(webhooks[name])) == attempts
        assert len(receiver.at(f"/{name}")) == attempts


async def test_client_errors_end_the_delivery_if_its_owner_wants_that(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(int(request.path.rpartition("/")[2]))
    tenant = await app.tenant()
    attempts = {400: 1, 404: 1, 499: 1, 408: 2, 425: 2, 429: 2, 500: 2, 302: 2}
    webhooks = {
        status: await app.webhook(tenant, f"{receiver.url}/{status}") for status in attempts
    }
    usual = await app.webhook(tenant, f"{receiver.url}/usual/404")
    await app.db.execute("UPDATE webhooks SET client_errors_final = true WHERE id <> $1", usual)
    settings = {"retry_schedule": ["10ms"], "failing_backoff": "0s"}
    async with serving(database, delivery=settings):
        await app.event(tenant)
        await until(lambda: settled(app, usual, "failed", 2))
        for status, expected in attempts.items():
            await until(lambda: settled(app, webhooks[status], "failed", expected))  # noqa: B023

    made = {status: len(await app.deliveries(webhook)) for status, webhook in webhooks.items()}
    assert made == attempts
    assert (await app.health(webhooks[404]))["consecutive_failures"] == 1


class Limited:
    """A receiver's view of one path: how many came in any second, and were open at once."""

    def __init__(self, receiver: Receiver, path: str, *, takes: float = 0.0) -> None:
        self.path = path
        self.open = self.most = 0
        self._takes = takes
        self._loop = asyncio.get_running_loop()
        self.receiver = receiver
        receiver.answer = self._answer

    def _answer(self, request: Received) -> Reply:
        if request.path != self.path:
            return Reply()
        self.open += 1
        self.most = max(self.most, self.open)
        # A moment before the reply: the daemon may begin the next one when it has it.
        self._loop.call_later(max(self._takes - 0.002, 0), self._end)
        return Reply(after=self._takes)

    def _end(self) -> None:
        self.open -= 1


async def begun(app: Application, webhook: UUID) -> list[float]:
    """When the attempts of the webhook were claimed, by the database's clock."""
    rows = await app.db.fetch(
        "SELECT extract(epoch FROM attempted_at)::float8 AS at FROM webhook_deliveries"
        " WHERE webhook_id = $1 AND attempted_at IS NOT NULL ORDER BY 1",
        webhook,
    )
    return [row["at"] for row in rows]


def most_within(times: list[float], seconds: float) -> int:
    """The largest number of these times within any such interval."""
    return max(sum(first <= at < first + seconds for at in times) for first in times)


@pytest.mark.full
async def test_two_daemons_together_keep_to_a_limit_per_second_and_reach_most_of_it(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/limited")
    other = await app.webhook(tenant, f"{receiver.url}/other")
    await configure(app, webhook, max_per_second=20.0)
    async with serving(database), serving(database):
        await app.events(tenant, 100)
        await until(lambda: settled(app, other, "success", 100))
        assert not await settled(app, webhook, "success", 100)
        await until(lambda: settled(app, webhook, "success", 100))

    claimed = await begun(app, webhook)
    arrived = [request.at for request in receiver.at("/limited")]
    assert len(arrived) == 100
    assert most_within(claimed, 1.0) <= 21
    # Requests take more or less time from claim to arrival, above all on a busy machine.
    clock = time.time() - time.monotonic()
    late = [at + clock - then for at, then in zip(sorted(arrived), claimed, strict=True)]
    assert most_within(arrived, 1.0 - (max(late) - min(late))) <= 21
    assert 100 / (claimed[-1] - claimed[0]) > 10


async def test_two_daemons_together_keep_to_a_limit_of_requests_in_flight(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/limited")
    other = await app.webhook(tenant, f"{receiver.url}/other")
    await configure(app, webhook, max_in_flight=3)
    limited = Limited(receiver, "/limited", takes=0.05)
    async with serving(database), serving(database):
        began = time.monotonic()
        await app.events(tenant, 120)
        await until(lambda: settled(app, other, "success", 120))
        await until(lambda: settled(app, webhook, "success", 120))
        took = time.monotonic() - began

    assert limited.most == 3
    assert took < 30  # 2 s, if every place were taken again at once


async def test_limits_hold_while_a_daemon_is_stopped_and_another_goes_on(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/limited")
    await configure(app, webhook, max_in_flight=2, max_per_second=200.0)
    limited = Limited(receiver, "/limited", takes=0.1)
    async with serving(database):
        async with serving(database):
            await app.events(tenant, 60)
            await until(lambda: settled(app, webhook, "success", 10))
        await until(lambda: settled(app, webhook, "success", 60))

    assert limited.most == 2
    assert len(receiver.at("/limited")) == 60


async def test_a_webhook_that_waits_for_its_turn_is_no_lag_and_spends_no_attempt(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await configure(app, webhook, max_per_second=0.1)
    async with serving(database) as service:
        await app.events(tenant, 5)
        await until(lambda: settled(app, webhook, "success", 1))
        pipeline = service._components.pipeline  # type: ignore[union-attr]
        sweeps = count()
        while next(sweeps) < 3:
            pipeline.lane_sync.wake.set()
            await asyncio.sleep(0.2)
        lag = pipeline.lane_sync.oldest_due_seconds

    pending = [row for row in await app.deliveries(webhook) if row["status"] == "pending_retry"]
    assert [row["attempt_number"] for row in pending] == [1] * 4
    assert len(receiver.received) == 1
    assert lag < 1


@pytest.mark.parametrize(
    ("member", "limits"),
    [
        ("maxPerSecond", (0.1, 1000)),
        ("maxPerSecond", (0.1, None)),
        ("maxInFlight", (1, 20)),
    ],
)
async def test_a_limit_that_is_raised_or_removed_over_the_api_holds_no_longer(
    app: Application, database: str, receiver: Receiver, member: str, limits: tuple[Any, Any]
) -> None:
    receiver.answer = lambda _: Reply(after=0.5 if member == "maxInFlight" else 0.0)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving_api(database, tenant) as api:
        await patch(api, webhook, member, limits[0])
        await app.events(tenant, 30)
        await until(lambda: settled(app, webhook, "success", 1))
        first = len(receiver.received)
        most = receiver.open_most
        await patch(api, webhook, member, limits[1])
        await until(lambda: settled(app, webhook, "success", 30))  # at 0.1 per second: 319 s

    assert first < 5
    assert most == 1
    assert receiver.open_most > 1 or member == "maxPerSecond"


@pytest.mark.parametrize(("member", "limit"), [("maxPerSecond", 0.1), ("maxInFlight", 1)])
async def test_a_limit_that_is_set_over_the_api_holds_for_events_that_come_then(
    app: Application, database: str, receiver: Receiver, member: str, limit: float
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving_api(database, tenant) as api:
        await app.events(tenant, 100)  # which open its window
        await until(lambda: settled(app, webhook, "success", 100))
        await patch(api, webhook, member, limit)
        receiver.answer = lambda _: Reply(after=0.2)
        receiver.open_most = 0
        await app.events(tenant, 5)
        if member == "maxInFlight":
            await until(lambda: settled(app, webhook, "success", 105))
        else:
            await until(lambda: settled(app, webhook, "success", 101))

    assert receiver.open_most == 1
    assert len(receiver.received) == (105 if member == "maxInFlight" else 101)


async def patch(api: ApiClient, webhook: UUID, member: str, value: Any) -> None:
    answer = await api.call("PATCH", f"/api/webhooks/{webhook}", {member: value})
    assert (answer.status, answer.json[member]) == (200, value), answer
