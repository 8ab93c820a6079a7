"""The search through the deliveries of all webhooks: complete, in order, in bounded pages."""

import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.store import delivery_search, search
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.deliveries import insert_delivery

URL = "https://receiver.example/"
NOW = datetime.now(UTC)
FAR = timedelta(days=365)


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant) as caller:
        yield caller


async def fill(app: Application, tenant: UUID, chance: random.Random, count: int) -> None:
    """Insert attempts of four webhooks, of which one has most, in a burst and over a year."""
    webhooks = [await app.webhook(tenant, URL) for _ in range(4)]
    ages = [timedelta(0), timedelta(seconds=1), timedelta(hours=3), timedelta(days=40), FAR, -FAR]
    for _ in range(count):
        failed = chance.random() < 0.5
        code = chance.choice((500, 404, None)) if failed else 200
        await insert_delivery(
            app,
            chance.choice(webhooks[:1] * 5 + webhooks),
            event_type=chance.choice(("email.opened", "email.sent")),
            status="failed" if failed else chance.choice(("success", "pending_retry")),
            status_code=code,
            error_message=f"the receiver ANSWERED {code} 100%" if failed else None,
            attempted_at=NOW - chance.choice(ages) - chance.choice((0, 1)) * timedelta(seconds=9),
            next_retry_at=None if failed else NOW + FAR,
        )


async def found(api: ApiClient, **query: Any) -> list[str]:
    """The ids on all pages."""
    ids: list[str] = []
    before: str | None = None
    looked_to = "9999"
    for _ in range(5000):
        page = await api.get("/api/deliveries", **query, **({"before": before} if before else {}))
        assert page.status == 200, page
        ids += [each["id"] for each in page.json["deliveries"]]
        before = page.json["next"]
        if before is None:
            assert page.json["lookedTo"] is None
            return ids
        assert page.json["lookedTo"] <= looked_to
        looked_to = page.json["lookedTo"]
    raise AssertionError("the pages do not end")


FILTERS: dict[str, tuple[dict[str, Any], Callable[[asyncpg.Record], bool]]] = {
    "all": ({}, lambda _: True),
    "status": ({"status": "failed"}, lambda d: d["status"] == "failed"),
    "exhausted": ({"status": "exhausted"}, lambda d: d["status"] == "failed"),
    "pending": ({"status": "pending_retry"}, lambda d: d["status"] == "pending_retry"),
    "status code": ({"statusCode": 404}, lambda d: d["status_code"] == 404),
    "type": ({"eventType": "email.sent"}, lambda d: d["event_type"] == "email.sent"),
    "error": ({"error": "Answered 500"}, lambda d: "ANSWERED 500" in (d["error_message"] or "")),
    "error with a wildcard": (
        {"error": "100%"},
        lambda d: "100%" in (d["error_message"] or ""),
    ),
    "nothing": ({"error": "_", "statusCode": 418}, lambda _: False),
    "from": (
        {"from": (NOW - timedelta(hours=1)).isoformat()},
        lambda d: d["attempted_at"] >= NOW - timedelta(hours=1),
    ),
    "from and to": (
        {"from": (NOW - FAR).isoformat(), "to": NOW.isoformat()},
        lambda d: NOW - FAR <= d["attempted_at"] < NOW,
    ),
}


@pytest.mark.parametrize("hurried", [False, True])
async def test_a_search_finds_what_matches_newest_first_in_pages(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch, hurried: bool
) -> None:
    """Also when each page ends after its first step."""
    await fill(app, tenant, random.Random(hurried), 120)
    await fill(app, await app.tenant(), random.Random(2), 5)
    rows = await app.db.fetch(
        "SELECT d.* FROM webhook_deliveries AS d JOIN webhooks AS w ON w.id = webhook_id"
        " WHERE tenant_id = $1 ORDER BY attempted_at DESC, d.id DESC",
        tenant,
    )
    if hurried:
        monkeypatch.setattr(search, "PAGE_SECONDS", 0.0)
        monkeypatch.setattr(search.StepSize, "__init__", _small_steps)

    for name, (query, matches) in FILTERS.items():
        wanted = [str(row["id"]) for row in rows if matches(row)]
        assert await found(api, limit=7, **query) == wanted, name


def _small_steps(size: search.StepSize) -> None:
    size.rows, size._looked_at, size._advanced, size._began = 3, 0, False, 0.0


async def test_a_search_goes_on_from_an_id_or_a_time(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, URL)
    times = [NOW - timedelta(minutes=n) for n in range(3)]
    ids = [str(await insert_delivery(app, webhook, attempted_at=at)) for at in times]
    other = await insert_delivery(app, await app.webhook(await app.tenant(), URL))

    assert await found(api) == ids
    for before in (ids[0], times[0].isoformat()):
        page = await api.get("/api/deliveries", before=before)
        assert [each["id"] for each in page.json["deliveries"]] == ids[1:]
    for unknown in (other, uuid4()):
        assert (await api.get("/api/deliveries", before=unknown)).status == 404


async def test_attempts_at_odd_times_are_found_and_those_without_a_time_are_not(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, URL)
    ids = [str(await insert_delivery(app, webhook)) for _ in range(4)]
    for delivery, at in zip(
        ids, ("9998-01-01", "1000-01-01", "0001-01-02", "-infinity"), strict=True
    ):
        await app.db.execute(
            f"UPDATE webhook_deliveries SET attempted_at = '{at}' WHERE id = '{delivery}'"
        )
    await insert_delivery(app, webhook, attempted_at=None)

    assert set(await found(api, limit=1)) == set(ids)


async def test_a_search_reads_few_rows_of_many_webhooks_with_a_long_history(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " SELECT $1, 'x', $2, 'whsec_x' FROM generate_series(1, 500)",
        *(tenant, URL),
    )
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, status, attempted_at)"
        " SELECT id, gen_random_uuid(), 'x', 'success', now() - n * interval '1 minute'"
        "   FROM webhooks CROSS JOIN generate_series(1, 20) AS n"
    )
    steps: list[int] = []
    took = search.StepSize.took

    def noted(size: search.StepSize, seconds: float, count: int) -> None:
        steps.append(count)
        took(size, 0.0, count)

    monkeypatch.setattr(search.StepSize, "took", noted)
    monkeypatch.setattr(search, "PAGE_SECONDS", 60.0)  # a busy machine
    page = await api.get("/api/deliveries", limit=50)

    assert len(page.json["deliveries"]) == 50
    assert sum(steps) < 500


async def test_a_tenant_with_too_many_webhooks_is_a_409(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_search, "MOST_WEBHOOKS", 2)
    for _ in range(2):
        await app.webhook(tenant, URL)
    assert (await api.get("/api/deliveries")).status == 200
    await app.webhook(tenant, URL)

    answer = await api.get("/api/deliveries")

    assert answer.status == 409
    assert answer.error == (
        "the tenant has more than 10,000 webhooks: list the deliveries of one of them"
    )


async def test_a_search_that_cannot_be_made_in_time_is_a_503(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another transaction has locked the table."""
    await insert_delivery(app, await app.webhook(tenant, URL))
    monkeypatch.setattr(search, "LIMIT_STEP", "SET LOCAL statement_timeout = '50ms'")
    async with app.db.transaction():
        await app.db.execute("LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE")
        assert (await api.get("/api/deliveries")).status == 503

    assert (await api.get("/api/deliveries")).status == 200
