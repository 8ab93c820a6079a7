"""Tenants: the list with trouble first, its pages and bounds, and the search across tenants."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.store import object_search, search, system_state, tenant_overview, tenants
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.deliveries import insert_delivery, insert_many
from tests.support.postgres import most_rows_read
from tests.support.roles import name_of, other_role

OVERVIEW = (tenant_overview.COUNTS, tenant_overview.TIMES)
URL = "http://127.0.0.1:9/hook"
LATE = "UPDATE webhook_deliveries SET next_retry_at = now() - interval '90 s' WHERE id = $1"


async def made_to_fail(app: Application, tenant: UUID, *, count: int = 1) -> None:
    for _ in range(count):
        webhook = await app.webhook(tenant, URL)
        await app.db.execute("UPDATE webhooks SET is_failing = true WHERE id = $1", webhook)


async def paused(app: Application, tenant: UUID) -> None:
    webhook = await app.webhook(tenant, URL)
    await app.db.execute(
        "UPDATE webhooks SET is_failing = true, is_active = false WHERE id = $1", webhook
    )


async def every_page(api: ApiClient, **query: Any) -> list[list[str]]:
    """The ids of the tenants of each page."""
    pages = []
    while True:
        answer = await api.get("/api/tenants", **query)
        assert answer.status == 200, answer
        pages.append([each["id"] for each in answer.json["tenants"]])
        if answer.json["next"] is None:
            return pages
        query["after"] = answer.json["next"]


def joined(pages: list[list[str]]) -> list[str]:
    return [each for page in pages for each in page]


async def test_tenants_with_trouble_stand_first_and_each_one_once(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_overview, "MOST_LOOKED_AT", 2)
    well = sorted([await app.tenant() for _ in range(5)])
    one_paused, one_failing, two_failing = [await app.tenant() for _ in range(3)]
    await app.webhook(well[0], URL)
    await paused(app, one_paused)
    await made_to_fail(app, one_failing)
    await made_to_fail(app, two_failing, count=2)
    await paused(app, one_failing)
    expected = [str(each) for each in (two_failing, one_failing, one_paused, *well)]

    async with serving_api(database, well[0]) as api:
        whole = await every_page(api)
        small = await every_page(api, limit=2)

    assert joined(whole) == expected
    assert joined(small) == expected
    assert all(len(page) <= 2 for page in small)


async def test_more_trouble_than_is_put_in_order_follows_by_id(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIND_TROUBLED", "LAST_TROUBLED"):
        sql = getattr(tenant_overview, name)
        bounded = sql.replace("LIMIT 20000", "LIMIT 3").replace("OFFSET 19999", "OFFSET 2")
        assert bounded != sql
        monkeypatch.setattr(tenant_overview, name, bounded)
    found = sorted([await app.tenant() for _ in range(6)])
    for each in found:
        await made_to_fail(app, each)

    async with serving_api(database, found[0]) as api:
        pages = await every_page(api, limit=2)

    assert joined(pages) == [str(each) for each in found]


async def test_a_tenant_is_shown_with_what_an_operator_asks_first(
    app: Application, database: str
) -> None:
    tenant, idle = await app.tenant(), await app.tenant()
    await app.db.execute("UPDATE tenants SET name = 'Acme \u202e Ltd' WHERE id = $1", tenant)
    await made_to_fail(app, tenant)
    await paused(app, tenant)
    held = await app.webhook(tenant, URL)
    await app.db.execute("UPDATE webhooks SET next_probe_at = 'infinity', is_failing = true")
    await app.db.execute(LATE, await insert_delivery(app, held))
    await app.event(tenant, {"n": 1})

    async with serving_api(
        database, tenant, limits={"webhooks_per_tenant": 2, "webhooks_per_host": 1}
    ) as api:
        [first, second] = (await api.get("/api/tenants")).json["tenants"]
        without_tenant = await api.with_headers(X_Tenant_ID=None).get("/api/tenants")

    assert without_tenant.status == 200
    late, last = first.pop("oldestDueSeconds"), first.pop("lastEventAt")
    assert 90 <= late < 3600
    assert last is not None
    assert first == {
        "id": str(tenant),
        "name": "Acme \u202e Ltd",
        "webhooks": 3,
        "failing": 2,
        "paused": 1,
        "warnings": [
            "3 webhooks, more than limits.webhooks_per_tenant (2)",
            "3 webhooks at 127.0.0.1, more than limits.webhooks_per_host (1)",
        ],
    }
    assert second == {
        "id": str(idle),
        "name": None,
        "webhooks": 0,
        "failing": 0,
        "paused": 0,
        "oldestDueSeconds": None,
        "lastEventAt": None,
        "warnings": [],
    }


async def test_a_tenant_with_many_rows_in_an_open_transaction_hides_no_other(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LIMIT_STEP", "SET LOCAL statement_timeout = '10ms'")
    tenants = [await app.tenant() for _ in range(5)]
    slow, *others = [await app.webhook(each, URL) for each in tenants]
    for webhook in others:
        await app.db.execute(LATE, await insert_delivery(app, webhook))
    application = await asyncpg.connect(database)
    await insert_many(application, slow)
    late: set[UUID] = set()
    async with serving_api(database, tenants[0]) as api:
        while len(late) < len(others):  # on a busy machine, any may take too long
            response = await api.get("/api/tenants")
            listed = {UUID(each["id"]): each for each in response.json["tenants"]}
            late |= {each for each in listed if listed[each]["oldestDueSeconds"] is not None}
    await application.close()

    assert late == set(tenants[1:])
    assert [listed[each]["webhooks"] for each in tenants] == [1] * 5


async def test_tenants_are_found_by_a_part_of_the_name_or_the_beginning_of_the_id(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants, "STEP_ROWS", 2)
    named = sorted([await app.tenant() for _ in range(5)])
    await app.db.execute("UPDATE tenants SET name = 'Penguin Post' WHERE id = $1", named[4])
    forgotten = uuid4()
    await app.db.execute(
        "INSERT INTO webhook_events (id, tenant_id, event_type) VALUES ($1, $2, 'x')",
        *(uuid4(), forgotten),
    )

    async with serving_api(database, named[0]) as api:
        by_name = joined(await every_page(api, search="guin p"))
        by_id = await every_page(api, search=str(named[2]))
        by_beginning = await every_page(api, search=str(named[2])[:13].upper())
        by_data = await every_page(api, search=str(forgotten))
        by_nothing = joined(await every_page(api, search="%"))

    assert by_name == [str(named[4])]
    assert by_id == by_beginning == [[str(named[2])]]
    assert by_data == [[str(forgotten)]]
    assert by_nothing == []


async def test_where_the_table_of_tenants_is_not_trusted_those_with_webhooks_are_listed(
    app: Application, database: str
) -> None:
    """Its owner could have code run in reading it."""
    tenant = await app.tenant()
    await app.tenant()
    await app.db.execute("UPDATE tenants SET name = 'Acme'")
    await app.webhook(tenant, URL)
    async with other_role(database) as url:
        name = await _name(url)
        await app.db.execute(f"ALTER TABLE tenants OWNER TO {name}")

        async with serving_api(database, tenant) as api:
            listed = await api.get("/api/tenants")
            found = await api.get("/api/tenants", search="acme")
        await app.db.execute("ALTER TABLE tenants OWNER TO CURRENT_USER")

    assert [(each["id"], each["name"]) for each in listed.json["tenants"]] == [(str(tenant), None)]
    assert found.json["tenants"] == []


async def test_webhooks_events_and_deliveries_are_found_across_tenants(
    app: Application, database: str
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(other, "https://crm.example.com/Hooks")
    await app.db.execute("UPDATE webhooks SET is_active = false")
    event = await app.event(other)
    delivery = await insert_delivery(app, webhook, status="failed", next_retry_at=None)
    texts = ["hooks", "a web", str(webhook), f"evt_{event.hex}", str(delivery), "zzz"]

    async with serving_api(database, tenant) as api:
        begun = {"webhookId": str(webhook), "from": "2020-01-01T00:00:00Z"}
        replay = (await api.as_tenant(other).post("/api/replays", begun)).json["id"]
        found = {text: (await api.get("/api/search", text=text)).json for text in [*texts, replay]}
        too_short = await api.get("/api/search", text="ho")

    assert all(each["complete"] for each in found.values())
    kinds = {
        text: [(o["kind"], o["id"], o["tenantId"]) for o in each["found"]]
        for text, each in found.items()
    }
    as_webhook = [("webhook", str(webhook), str(other))]
    assert kinds == {
        "hooks": as_webhook,
        "a web": as_webhook,
        str(webhook): as_webhook,
        f"evt_{event.hex}": [("event", str(event), str(other))],
        str(delivery): [("delivery", str(delivery), str(other))],
        replay: [("replay", replay, str(other))],
        "zzz": [],
    }
    assert too_short.status == 422


async def test_webhooks_are_found_by_host_by_url_and_by_the_address_that_they_mail(
    app: Application, database: str
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    urls = (
        *("https://crm.Acme.example:8443/Hooks?key=1", "https://acme.example./x"),
        *("https://notacme.example/", "https://[2606:2800::1]/"),
    )
    crm, acme, alike, literal = [str(await app.webhook(other, url)) for url in urls]
    for host in ("h" * 3000, "\u20ac" * 3000):  # too long for an index of any host
        await app.webhook(tenant, f"https://{host}.example/")
    mail = "UPDATE webhooks SET notification_email = 'Ops@Acme.example' WHERE id::text = $1"
    await app.db.execute(mail, literal)
    wanted = {
        "acme.example": {crm, acme, alike},
        "CRM.acme.example": {crm},
        "acme.example/x": set(),  # as it stands, there is a dot between
        "https://crm.acme.example:8443/hooks": {crm},
        "https://acme.example.": {acme},
        "crm.acme.example:8443": {crm},
        "https://cr": {crm},
        "[2606:2800::1]": {literal},
        "ops@acme.example": {literal},
        "nobody@acme.example": set(),
    }

    async with serving_api(database, tenant) as api:
        answers = {text: (await api.get("/api/search", text=text)).json for text in wanted}

    found = {text: {each["id"] for each in answer["found"]} for text, answer in answers.items()}
    assert found == wanted
    assert all(answer["complete"] for answer in answers.values())


async def test_a_host_and_an_address_are_found_past_all_other_webhooks(app: Application) -> None:
    tenant = await app.tenant()
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, notification_email)"
        " SELECT $1, 'x', 'https://h' || n || '.example/', 'whsec_x', 'm' || n || '@a.example'"
        " FROM generate_series(1, 3000) AS n",
        tenant,
    )
    await app.db.execute("ANALYZE")

    at_host = await most_rows_read(
        *(app.db, object_search.AT_HOST, "elpmaxe.7h", "elpmaxe.7h.", "elpmaxe.7h/", "h7", 21)
    )
    by_email = await most_rows_read(app.db, object_search.BY_EMAIL, "M7@a.example", 21)

    assert (at_host, by_email) == (1, 1)


async def test_a_search_that_has_no_time_left_says_that_there_may_be_more(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await app.tenant()
    await app.webhook(tenant, URL)
    async with serving_api(database, tenant) as api:
        monkeypatch.setattr(object_search, "SEARCH_TIME", timedelta(seconds=-1))

        late = await api.get("/api/search", text="hook")

    assert late.json == {"found": [], "complete": False}


async def test_trouble_is_found_past_all_webhooks_that_have_none(app: Application) -> None:
    """Nor does a tenant with many webhooks cost more than its bound."""
    tenant, large = await app.tenant(), await app.tenant()
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " SELECT $1, 'x', 'https://a.example/', 'whsec_x' FROM generate_series(1, 5000)",
        large,
    )
    await made_to_fail(app, tenant)
    await app.db.execute("ANALYZE")

    first_page = await most_rows_read(
        app.db, tenant_overview.FIND_TROUBLED, *(None, None, None, 51)
    )
    hosts = await most_rows_read(app.db, system_state.FIND_HOSTS)
    found = max([await most_rows_read(app.db, query, [tenant, large]) for query in OVERVIEW])

    assert first_page <= 1
    assert hosts <= 1
    assert found <= tenant_overview.MOST_COUNTED + 1


async def test_only_operators_list_and_search_tenants(app: Application, database: str) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as operator:
        token = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant)})
        mine = operator.with_token(token.json["token"])
        refused = [
            await mine.get(f"/api/{path}", **query)
            for path, query in (
                *(("tenants", {}), ("failing-webhooks", {})),
                ("search", {"text": "xyz"}),
            )
        ]
        malformed = await operator.get("/api/tenants", after="1_2_3")

    assert [each.status for each in refused] == [403, 403, 403]
    assert (malformed.status, malformed.pointers) == (422, ["after"])


async def _name(url: str) -> str:
    connection = await asyncpg.connect(url)
    name = await name_of(connection)
    await connection.close()
    return str(name)
