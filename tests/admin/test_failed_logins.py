"""The limit on wrong tokens: for each client, and only for wrong tokens."""

from uuid import UUID

import pytest

from daemon.admin.api import failed_logins
from tests.support.api_client import OPERATOR, Answer, ApiClient, serving_api
from tests.support.daemons import until
from tests.support.raw_http import connected

WRONG = {"Authorization": "Bearer wrong-wrong-wrong-wrong"}
PROXIES = {"trusted_proxies": ["127.0.0.1/32", "10.0.0.0/8"]}


async def statuses(api: ApiClient, count: int) -> list[int]:
    return [(await api.get("/api/webhooks")).status for _ in range(count)]


async def attempt(api: ApiClient, forwarded_for: str) -> Answer:
    """Send a wrong token through a proxy that sends this X-Forwarded-For."""
    headers = {"X_Forwarded_For": forwarded_for}
    return await api.with_headers(**WRONG, **headers).get("/api/webhooks")


async def use_up(api: ApiClient, forwarded_for: str) -> None:
    found = [(await attempt(api, forwarded_for)).status for _ in range(20)]
    assert found == [401] * 20


async def test_after_twenty_wrong_tokens_the_next_is_a_429(database: str, tenant: UUID) -> None:
    async with serving_api(database, tenant) as api:
        wrong = api.with_headers(**WRONG)
        found = await statuses(wrong, 20)

        answer = await wrong.get("/api/webhooks")

    assert found == [401] * 20
    assert answer.status == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.error == "too many wrong tokens from your address: try again later"


@pytest.mark.parametrize("token", ["x", "wht_AAAA", f"{OPERATOR}x", "wht_" + "A" * 96, "é" * 5000])
async def test_wrong_tokens_of_every_form_are_counted(
    database: str, tenant: UUID, token: str
) -> None:
    async with serving_api(database, tenant) as api:
        found = await statuses(api.with_token(token), 21)

    assert found == [401] * 20 + [429]


async def test_right_tokens_are_served_beside_wrong_ones(database: str, tenant: UUID) -> None:
    async with serving_api(database, tenant) as api:
        issued = await api.post("/api/tenant-tokens", {"tenantId": str(tenant)})
        await statuses(api.with_headers(**WRONG), 25)

        found = await statuses(api, 30) + await statuses(api.with_token(issued.json["token"]), 30)
        throttled = await statuses(api.with_headers(**WRONG), 1)

    assert set(found) == {200}
    assert throttled == [429]


async def test_what_needs_no_token_is_not_throttled(database: str, tenant: UUID) -> None:
    async with serving_api(database, tenant) as api:
        wrong = api.with_headers(**WRONG)
        await statuses(wrong, 25)

        found = {
            path: [(await wrong.get(path)).status for _ in range(25)]
            for path in ("/healthz", "/readyz", "/metrics", "/openapi.json")
        }

    assert found == dict.fromkeys(found, [200] * 25)


async def test_requests_without_a_token_are_not_counted(database: str, tenant: UUID) -> None:
    async with serving_api(database, tenant) as api:
        without = await statuses(api.with_headers(Authorization=None), 30)
        wrong = await statuses(api.with_headers(**WRONG), 1)

    assert without == [401] * 30
    assert wrong == [401]


async def test_refusals_of_a_right_token_are_not_counted(database: str, tenant: UUID) -> None:
    async with serving_api(database, tenant) as api:
        unnamed = await statuses(api.with_headers(X_Tenant_ID=None), 30)
        wrong = await statuses(api.with_headers(**WRONG), 1)

    assert unnamed == [400] * 30
    assert wrong == [401]


async def test_another_client_is_not_throttled(database: str, tenant: UUID) -> None:
    request = (
        b"GET /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer wrong\r\n\r\n"
    )
    async with serving_api(database, tenant) as api:
        await statuses(api.with_headers(**WRONG), 25)

        async with connected(api, source="127.0.0.2") as other:
            status = await other.ask(request)

    assert status == 401


async def test_the_limit_ends_after_a_minute(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_logins, "WINDOW_SECONDS", 2.0)
    async with serving_api(database, tenant) as api:
        wrong = api.with_headers(**WRONG)

        await until(lambda: is_throttled(wrong))
        await until(lambda: is_not_throttled(wrong))


async def is_throttled(api: ApiClient) -> bool:
    return await statuses(api, 1) == [429]


async def is_not_throttled(api: ApiClient) -> bool:
    return await statuses(api, 1) == [401]


async def test_behind_a_trusted_proxy_each_client_has_its_own_limit(
    database: str, tenant: UUID
) -> None:
    async with serving_api(database, tenant, admin=PROXIES) as api:
        await use_up(api, "203.0.113.5")

        same = await attempt(api, "203.0.113.5")
        other = await attempt(api, "203.0.113.6")
        proxy_itself = await statuses(api.with_headers(**WRONG), 1)

    assert (same.status, other.status, proxy_itself) == (429, 401, [401])


@pytest.mark.parametrize(
    "forwarded_for",
    [
        "198.51.100.7, 203.0.113.5",
        "garbage, 203.0.113.5",
        "203.0.113.5, 10.0.0.9",
        "203.0.113.5:4711",
        "198.51.100.7,203.0.113.5 , 10.1.2.3,127.0.0.1",
        "::ffff:203.0.113.5",
    ],
)
async def test_a_client_cannot_choose_its_address(
    database: str, tenant: UUID, forwarded_for: str
) -> None:
    async with serving_api(database, tenant, admin=PROXIES) as api:
        await use_up(api, "203.0.113.5")

        assert (await attempt(api, forwarded_for)).status == 429


async def test_the_header_of_a_peer_that_is_not_trusted_is_ignored(
    database: str, tenant: UUID
) -> None:
    async with serving_api(database, tenant, admin={"trusted_proxies": ["10.0.0.0/8"]}) as api:
        found = [(await attempt(api, f"203.0.113.{number}")).status for number in range(21)]

    assert found == [401] * 20 + [429]


async def test_ipv6_clients_are_counted_by_their_network(database: str, tenant: UUID) -> None:
    async with serving_api(database, tenant, admin=PROXIES) as api:
        found = [(await attempt(api, f"2001:db8:1:2:{i:x}::1")).status for i in range(21)]
        neighbour = await attempt(api, "2001:db8:1:3::1")

    assert (found, neighbour.status) == ([401] * 20 + [429], 401)


def test_entries_expire_and_their_number_is_bounded() -> None:
    now = 0.0
    failures = failed_logins.FailedLogins(max_clients=3, clock=lambda: now)
    for client in range(1000):
        failures.record(client)
    assert len(failures) == 3

    for _ in range(25):
        failures.record(999)
    assert failures.record(999) == failed_logins.WINDOW_SECONDS

    now = failed_logins.WINDOW_SECONDS
    assert failures.record(999) is None
    assert len(failures) == 1


def test_an_entry_that_is_counted_again_lasts_no_longer() -> None:
    now = 0.0
    failures = failed_logins.FailedLogins(clock=lambda: now)
    for _ in range(20):
        assert failures.record("client") is None

    now = 59.0
    assert failures.record("client") == 1.0
    now = 60.0
    assert failures.record("client") is None
