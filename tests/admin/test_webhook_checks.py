"""What forms need to know before they create a webhook: checks, fields of events, settings."""

from tests.support.api_client import serving_api
from tests.support.application import Application

URL = "https://hooks.example.com/crm"


async def test_a_dry_run_judges_as_a_creation_would_and_creates_nothing(
    database: str, app: Application
) -> None:
    tenant = await app.tenant()
    checked = {"name": "CRM", "endpointUrl": URL, "dryRun": True}
    async with serving_api(database, tenant, limits={"webhooks_per_host": 1}) as api:

        async def check(**members: object) -> tuple[int, list[str]]:
            answer = await api.post("/api/webhooks", checked | members)
            errors = answer.json.get("errors", [])
            return answer.status, answer.json.get("warnings", [each["pointer"] for each in errors])

        assert await check() == (200, [])
        status, warnings = await check(eventTypes=["email.openned"])
        assert status == 200
        assert "did you mean email.opened?" in warnings[0]
        assert await check(endpointUrl="https://10.0.0.1/") == (422, ["#/endpointUrl"])
        assert await check(retrySchedule="fast") == (422, ["#/retrySchedule"])
        assert await check(customHeaders={"Host": "x"}) == (422, ["#/customHeaders"])
        await api.create_webhook(URL)
        assert (await check())[0] == 409
        assert (
            await api.as_tenant(await app.tenant()).post("/api/webhooks", checked)
        ).status == 200
        reader = await api.post("/api/tenant-tokens", {"tenantId": str(tenant), "scope": "read"})
        other = checked | {"endpointUrl": "https://other.example.com/"}
        as_reader = api.with_token(reader.json["token"])
        assert (await as_reader.post("/api/webhooks", other)).status == 200
        assert (await as_reader.post("/api/webhooks", other | {"dryRun": False})).status == 403
        assert len((await api.get("/api/webhooks")).json["webhooks"]) == 1


async def test_fields_are_the_paths_in_recent_events_with_their_values(
    database: str, app: Application
) -> None:
    tenant = await app.tenant()
    for city in ("Oslo", "Oslo", "Rome"):
        await app.event(tenant, {"contact": {"city": city, "tags": ["vip", 7]}, "note": "x" * 200})
    await app.event(tenant, [1])
    await app.event(await app.tenant(), {"secret": "of another tenant"})
    async with serving_api(database, tenant) as api:
        found = (await api.get("/api/events/fields")).json

    assert found == {
        "fields": [
            {"path": "contact.city", "count": 3, "values": ["Oslo", "Rome"]},
            {"path": "contact.tags", "count": 3, "values": [7, "vip"]},
            {"path": "note", "count": 3, "values": []},
        ],
        "looked": 4,
    }


async def test_the_settings_of_deliveries_are_those_of_the_configuration(
    database: str, app: Application
) -> None:
    delivery = {"retry_schedules": {"quick": ["90s", "24h", "2d"]}, "timeout": "1500ms"}
    egress = {"public_addresses": ["192.0.2.7", "2001:db8::/48"]}
    async with serving_api(database, await app.tenant(), delivery=delivery, egress=egress) as api:
        found = (await api.get("/api/delivery-settings")).json

    assert found["timeout"] == "1500ms"
    assert found["retrySchedule"] == ["1m", "5m", "15m", "1h", "24h"]
    assert found["retrySchedules"] == {"quick": ["90s", "24h", "2d"]}
    assert found["publicAddresses"] == ["192.0.2.7", "2001:db8::/48"]
