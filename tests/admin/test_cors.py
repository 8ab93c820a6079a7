"""Cross-origin requests as browsers send them: preflights, and what a page may read."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from daemon.admin.server import request_turns
from tests.support.api_client import Answer, ApiClient, serving_api
from tests.support.application import Application
from tests.support.shared_daemon import SharedDaemon, shared_daemon

PAGE = "https://app.example.com"
ADMIN = {"allowed_origins": [PAGE, "http://localhost:3000"]}
OTHERS = [
    *("https://app.example.com:8443", "http://app.example.com", "https://example.com"),
    *("https://app.example.com.evil.example", "https://evil-app.example.com", "null", "*", ""),
    *("https://APP.example.com", "https://app.example.com/", f"{PAGE}, {PAGE}"),
]


@pytest.fixture(scope="module")
def shared(shared_database: str) -> Iterator[SharedDaemon]:
    with shared_daemon(shared_database, admin=ADMIN) as running:
        yield running


@pytest.fixture
async def own_api(app: Application, database: str) -> AsyncIterator[ApiClient]:
    """A client of a daemon that has the test's own database."""
    async with serving_api(database, await app.tenant(), admin=ADMIN) as caller:
        yield caller


async def preflight(
    api: ApiClient, path: str, *, origin: str, method: str = "POST", **headers: str
) -> Answer:
    """As a browser asks: without a token."""
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    anonymous = api.with_headers(Authorization=None, X_Tenant_ID=None)
    return await anonymous.call("OPTIONS", path, headers=asked | headers)


async def test_a_page_of_an_allowed_origin_may_call_every_operation(api: ApiClient) -> None:
    for origin in (PAGE, "http://localhost:3000"):
        allowed = await preflight(api, f"/api/webhooks/{uuid4()}", origin=origin, method="DELETE")

        assert (allowed.status, allowed.text) == (204, "")
        assert allowed.headers["Access-Control-Allow-Origin"] == origin
        assert set(allowed.headers["Access-Control-Allow-Methods"].split(", ")) >= {
            *("GET", "PATCH", "DELETE"),
        }
        for name in ("Authorization", "Content-Type", "X-Tenant-ID", "Idempotency-Key"):
            assert name in allowed.headers["Access-Control-Allow-Headers"].split(", ")
        assert int(allowed.headers["Access-Control-Max-Age"]) > 0
        assert allowed.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in allowed.headers


async def test_a_page_may_read_responses_and_refusals_and_what_they_say_in_headers(
    api: ApiClient,
) -> None:
    from_page = api.with_headers(Origin=PAGE)
    answers = {
        200: await from_page.get("/api/webhooks"),
        401: await from_page.with_headers(Authorization="Bearer wrong").get("/api/webhooks"),
        404: await from_page.get(f"/api/webhooks/{uuid4()}"),
        405: await from_page.call("PUT", "/api/webhooks"),
        422: await from_page.post("/api/webhooks", {}),
    }

    for status, answer in answers.items():
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"Retry-After", "Idempotency-Replayed"} <= set(exposed)
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", OTHERS)
async def test_no_other_origin_is_allowed(api: ApiClient, origin: str) -> None:
    refused = await preflight(api, "/api/webhooks", origin=origin)
    read = await api.with_headers(Origin=origin).get("/api/webhooks")

    assert (refused.status, read.status) == (403, 200)
    for answer in (refused, read):
        assert not any(name.startswith("Access-Control") for name in answer.headers)
        assert answer.headers["Vary"] == "Origin"


async def test_other_paths_hosts_and_options_stay_as_they_are(api: ApiClient) -> None:
    absent = await preflight(api, "/api/nothing", origin=PAGE)
    other_host = await preflight(api, "/api/webhooks", origin=PAGE, Host="evil.example")
    plain = await api.call("OPTIONS", "/api/webhooks", headers={"Origin": PAGE})
    health = await preflight(api, "/healthz", origin=PAGE)

    statuses = [each.status for each in (absent, other_host, plain, health)]
    assert statuses == [404, 421, 405, 405]
    assert "Access-Control-Allow-Origin" not in health.headers


async def test_without_allowed_origins_no_page_may_call(app: Application, database: str) -> None:
    async with serving_api(database, await app.tenant()) as api:
        refused = await preflight(api, "/api/webhooks", origin=PAGE)
        read = await api.with_headers(Origin=PAGE).get("/api/webhooks")

    assert (refused.status, read.status) == (403, 200)
    assert "Access-Control-Allow-Origin" not in read.headers
    assert "Vary" not in read.headers


async def test_preflights_count_against_their_client(
    own_api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone can send them; a refused one may be read by the page like any other."""
    monkeypatch.setattr(request_turns, "MAX_WAITING", 0)

    refused = await preflight(own_api, "/api/webhooks", origin=PAGE)

    assert (refused.status, "Retry-After" in refused.headers) == (429, True)
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE
