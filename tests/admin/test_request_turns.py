"""API requests begin in turn by caller, within a share of the loop's time."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from typing import Any

import pytest

from daemon.admin.server import request_limits, request_turns
from daemon.admin.server.request_turns import (
    BURST_SECONDS,
    FEW_WAITING,
    MAX_RUNNING,
    MAX_WAITING,
    MOST_OVERSPENT_SECONDS,
    SHARE,
    RequestTurns,
    TooManyRequestsError,
)
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.raw_http import crowd, post_head


class Clock:
    """A clock that advances by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Requests:
    """Requests that run until they are ended; `begun` holds their callers in order."""

    def __init__(self, turns: RequestTurns) -> None:
        self.begun: list[Any] = []
        self._turns = turns
        self._tasks: list[asyncio.Task[None]] = []

    async def send(self, *callers: Hashable) -> list[asyncio.Task[None]]:
        """Send a request of each; returns when those have begun that may."""
        tasks = [asyncio.create_task(self._begin(caller)) for caller in callers]
        self._tasks += tasks
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks

    async def end(self, caller: str) -> None:
        """End one that runs."""
        self._turns.end(caller)
        for _ in range(5):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begin(self, caller: Hashable) -> None:
        await self._turns.begin(caller)
        self.begun.append(caller)


@asynccontextmanager
async def requests(turns: RequestTurns) -> AsyncIterator[Requests]:
    made = Requests(turns)
    yield made
    await made.close()


async def test_a_caller_runs_so_many_requests_at_once_and_others_run_beside() -> None:
    async with requests(RequestTurns(clock=Clock())) as made:
        await made.send(*["a"] * (MAX_RUNNING + 2), "b")
        at_first = list(made.begun)
        await made.end("a")

    assert at_first == ["a"] * MAX_RUNNING + ["b"]
    assert made.begun == [*at_first, "a"]


async def test_a_crowd_of_strangers_delays_a_known_caller_by_one_of_theirs() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    strangers = [IPv4Network(f"192.0.2.{number}") for number in range(100)]
    async with requests(turns) as made:
        turns.spend("x", BURST_SECONDS + 0.001)
        await made.send(*strangers, "a", "b", "a", "a", "a")
        clock.at += 60
        await until(lambda: len(made.begun) == 105)

    assert made.begun[:6] == ["a", "b", "a", strangers[0], "a", "a"]


async def test_callers_take_turns_once_the_time_is_spent() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    async with requests(turns) as made:
        turns.spend("x", BURST_SECONDS + 0.001)
        await made.send("a", "a", "a", "b", "c", "c")
        nothing = list(made.begun)
        clock.at += 60
        await until(lambda: len(made.begun) == 6)

    assert nothing == []
    assert made.begun == ["a", "b", "c", "a", "c", "a"]


async def test_many_callers_with_expensive_requests_delay_one_with_few_by_none_of_theirs() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    heavy = [f"heavy{number}" for number in range(20)]
    async with requests(turns) as made:
        for caller in heavy:
            turns.spend(caller, 0.04)
        clock.at += 1
        turns.spend("x", BURST_SECONDS + 0.001)
        await made.send(*heavy * 3, "rare")
        clock.at += 1
        await until(lambda: len(made.begun) == 61)

    assert made.begun[0] == "rare"
    assert set(made.begun[1:21]) == set(heavy)


async def test_requests_wait_until_their_share_has_paid_for_what_was_spent() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    async with requests(turns) as made:
        turns.spend("x", BURST_SECONDS + 0.01 * SHARE)
        await made.send("a")
        clock.at += 0.009
        await asyncio.sleep(0.05)  # the timer has fired, and the clock is not far enough yet
        too_early = list(made.begun)
        clock.at += 0.002
        await until(lambda: made.begun)

    assert too_early == []


async def test_what_a_caller_takes_beyond_the_share_delays_only_itself() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    async with requests(turns) as made:
        turns.spend("a", 10)
        await made.send("a", "b")
        at_once = list(made.begun)
        clock.at += MOST_OVERSPENT_SECONDS / SHARE + 0.01
        await made.send("c")
        soon = list(made.begun)
        clock.at += 10 / SHARE
        await made.send("d")

    assert at_once == []
    assert sorted(soon) == ["b", "c"]
    assert sorted(made.begun) == ["a", "b", "c", "d"]


async def test_a_request_that_goes_on_spending_keeps_no_other_caller_from_beginning() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    async with requests(turns) as made:
        turns.spend("a", 2 * BURST_SECONDS)
        for _ in range(20):  # twice the share
            clock.at += 0.01
            turns.spend("a", 0.01 * 2 * SHARE)
        clock.at += 0.01
        await made.send("b", "a")

    assert made.begun == ["b"]


async def test_a_debt_ends_by_itself_after_others_have_begun() -> None:
    turns = RequestTurns()
    async with requests(turns) as made:
        turns.spend("a", BURST_SECONDS + 2 * MOST_OVERSPENT_SECONDS + 0.02)
        await made.send("a", "b")
        await until(lambda: len(made.begun) == 2)

    assert made.begun == ["b", "a"]


async def test_what_is_spent_as_slowly_as_it_is_earned_makes_no_debt() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    async with requests(turns) as made:
        for _ in range(100):
            turns.spend("a", 0.9 * BURST_SECONDS)
            clock.at += BURST_SECONDS / SHARE
        await made.send("a")

    assert made.begun == ["a"]


async def test_an_idle_hour_earns_no_more_than_a_burst() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    async with requests(turns) as made:
        clock.at += 3600
        await made.send("a")
        turns.spend("x", BURST_SECONDS)
        await made.send("a")

    assert made.begun == ["a"]


async def test_a_caller_with_too_many_waiting_is_refused_and_others_are_not() -> None:
    async with requests(RequestTurns(clock=Clock())) as made:
        most = MAX_RUNNING + MAX_WAITING
        [*_, refused] = await made.send(*["a"] * (most + 1))
        [other] = await made.send("b")

        assert isinstance(refused.exception(), TooManyRequestsError)
        assert other.done()
        assert other.exception() is None


async def test_when_many_wait_each_caller_may_have_a_few_more() -> None:
    async with requests(RequestTurns(clock=Clock())) as made:
        for caller in ("a", "b"):
            await made.send(*[caller] * (MAX_RUNNING + MAX_WAITING))
        accepted = await made.send(*["c"] * (MAX_RUNNING + FEW_WAITING))
        [refused] = await made.send("c")

        assert isinstance(refused.exception(), TooManyRequestsError)
        assert [each.exception() for each in accepted if each.done()] == [None] * MAX_RUNNING


async def test_a_request_that_waits_for_too_long_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_turns, "WAIT_SECONDS", 0.05)
    async with requests(RequestTurns(clock=Clock())) as made:
        [*_, waiting] = await made.send(*["a"] * (MAX_RUNNING + 1))

        with pytest.raises(TooManyRequestsError):
            await waiting


async def test_requests_that_were_cancelled_keep_no_place() -> None:
    async with requests(RequestTurns(clock=Clock())) as made:
        tasks = await made.send(*["a"] * (MAX_RUNNING + MAX_WAITING))
        for waiting in tasks[MAX_RUNNING:]:
            waiting.cancel()
        [last] = await made.send("a")
        await made.end("a")

        assert last.done()
        assert last.exception() is None


async def test_a_request_cancelled_in_the_moment_it_begins_ends() -> None:
    turns = RequestTurns(clock=Clock())
    async with requests(turns) as made:
        tasks = await made.send(*["a"] * (MAX_RUNNING + 1))
        turns.end("a")
        tasks[-1].cancel()
        await asyncio.wait(tasks[-1:])
        [following] = await made.send("a")

        assert following.done()


async def test_a_client_with_many_started_bodies_holds_up_only_itself(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "REFUSAL_SECONDS", 0.01)
    tenant, other = await app.tenant(), await app.tenant()
    started = post_head(tenant, 9) + b"{"
    one_too_many = MAX_RUNNING + MAX_WAITING + 1

    async def counted(refusals: int) -> bool:
        line = f"\nwebhookd_api_requests_refused_total {refusals:.1f}\n"
        return line in (await api.get("/metrics")).text

    async with serving_api(database, tenant) as api, crowd(api, one_too_many, sent=started):
        await until(lambda: counted(1))
        refused = await api.get("/api/webhooks")
        served = await api.as_tenant(other).get("/api/webhooks")
        await until(lambda: counted(2))

    assert refused.status == 429
    assert refused.error == "too many of your requests are waiting: send fewer at once"
    assert int(refused.headers["Retry-After"]) > 0
    assert served.status == 200


async def test_all_requests_of_a_page_that_asks_for_much_at_once_are_served(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as api:
        answers = await asyncio.gather(
            *(api.get("/api/webhooks") for _ in range(MAX_RUNNING + MAX_WAITING))
        )

    assert {each.status for each in answers} == {200}
