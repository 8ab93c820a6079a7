"""How many test events are sent at a time, for one tenant and for all."""

import asyncio
from uuid import UUID

import pytest

from daemon.admin.resources import test_event_limit
from tests.support.api_client import ApiClient, send_test, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.hostile import hostile, silent
from tests.support.receiver import Receiver


async def test_a_tenant_has_four_concurrent_tests_and_other_tenants_have_their_own(
    own_api: ApiClient, app: Application, receiver: Receiver
) -> None:
    other = own_api.as_tenant(await app.tenant())
    async with hostile(silent) as slow, asyncio.TaskGroup() as group:
        path = f"/api/webhooks/{(await own_api.create_webhook(slow.url))['id']}/test"
        tests = [group.create_task(own_api.post(path)) for _ in range(20)]
        await until(lambda: sum(each.done() for each in tests) == 16)
        refused = [each.result() for each in tests if each.done()]
        status, _, _ = await send_test(other, receiver.url)
        waiting = sum(not each.done() for each in tests)

        for each in tests:
            each.cancel()

    assert {(each.status, each.headers["Retry-After"]) for each in refused} == {(429, "5")}
    assert refused[0].error == "4 test events are in progress: wait until one finishes"
    assert (status, waiting) == (200, 4)


async def test_hanging_tests_of_several_tenants_leave_room_for_another(
    own_api: ApiClient, app: Application, receiver: Receiver
) -> None:
    async with hostile(silent) as slow, asyncio.TaskGroup() as group:
        tests = []
        for _ in range(4):
            caller = own_api.as_tenant(await app.tenant())
            path = f"/api/webhooks/{(await caller.create_webhook(slow.url))['id']}/test"
            tests += [group.create_task(caller.post(path)) for _ in range(4)]
        await until(lambda: slow.open_now == 16)
        status, _, _ = await send_test(own_api.as_tenant(await app.tenant()), receiver.url)

        for each in tests:
            each.cancel()

    assert status == 200


async def test_a_tenant_without_a_test_has_a_place_when_others_hold_all(
    app: Application,
    database: str,
    tenant: UUID,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(test_event_limit, "MAX_CONCURRENT", 2)
    monkeypatch.setattr(test_event_limit, "RESERVE", 1)
    async with (
        serving_api(database, tenant) as api,
        hostile(silent) as slow,
        asyncio.TaskGroup() as group,
    ):
        callers = [api, api.as_tenant(await app.tenant())]
        paths = [f"/api/webhooks/{(await c.create_webhook(slow.url))['id']}/test" for c in callers]
        tests = [
            group.create_task(caller.post(path))
            for caller, path in zip(callers, paths, strict=True)
        ]
        await until(lambda: slow.open_now == 2)
        second = await api.post(paths[0])
        status, _, _ = await send_test(api.as_tenant(await app.tenant()), receiver.url)

        for each in tests:
            each.cancel()

    assert (second.status, status) == (503, 200)


@pytest.mark.parametrize(("allowed", "seconds"), [(0, 0.2), (48, 1)], ids=["crowded", "alone"])
async def test_a_webhook_s_own_timeout_counts_until_many_tests_are_in_progress(
    own_api: ApiClient, monkeypatch: pytest.MonkeyPatch, allowed: int, seconds: float
) -> None:
    monkeypatch.setattr(test_event_limit, "CROWDED", allowed)
    monkeypatch.setattr(test_event_limit, "CROWDED_SECONDS", 0.2)
    async with hostile(silent) as slow:
        created = await own_api.create_webhook(slow.url, timeout="1s")
        answer = await own_api.post(f"/api/webhooks/{created['id']}/test")

    assert answer.error == f"no complete response within {seconds} s"


async def test_a_test_beyond_the_limit_of_all_tenants_is_a_503(
    app: Application, database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_event_limit, "MAX_CONCURRENT", 1)
    monkeypatch.setattr(test_event_limit, "RESERVE", 0)
    async with (
        serving_api(database, tenant) as api,
        hostile(silent) as slow,
        asyncio.TaskGroup() as group,
    ):
        path = f"/api/webhooks/{(await api.create_webhook(slow.url))['id']}/test"
        test = group.create_task(api.post(path))
        await until(lambda: slow.open_now == 1)
        status, result, _ = await send_test(api.as_tenant(await app.tenant()), slow.url)
        test.cancel()

    assert (status, result["error"]) == (
        503,
        "too many test events are in progress: try again in a few seconds",
    )
