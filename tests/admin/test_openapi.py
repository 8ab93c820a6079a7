"""The OpenAPI document and the reference page, compared with the API that is served."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from daemon.admin import schemas
from daemon.admin.api import failed_logins, openapi, reference_page
from daemon.core.event_types import EVENT_TYPES
from daemon.core.operational_event_types import OPERATIONAL_TYPES
from daemon.egress import client as sender
from daemon.egress.resolver import LookupFailedError
from tests.admin.test_access import OPERATIONS
from tests.support.api_client import OPERATOR, serving_api
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.client import FakeResolver
from tests.support.commandline import ROOT
from tests.support.hostile import OK, hostile, responding_with

# The contract's section 7, and the list of a webhook's replays.
CALLS = {
    "POST /api/webhooks", "GET /api/webhooks", "GET /api/webhooks/{id}",
    "PATCH /api/webhooks/{id}", "DELETE /api/webhooks/{id}", "POST /api/webhooks/{id}/pause",
    "POST /api/webhooks/{id}/probe", "GET /api/webhooks/{id}/explain",
    "GET /api/webhooks/{id}/undelivered", "POST /api/filters/preview",
    "POST /api/webhooks/{id}/resume", "POST /api/webhooks/{id}/rotate-secret",
    "POST /api/webhooks/{id}/test", "GET /api/webhooks/{id}/deliveries",
    "GET /api/webhooks/{id}/stats", "GET /api/deliveries",
    "GET /api/deliveries/{id}", "POST /api/deliveries/{id}/retry",
    "POST /api/webhooks/{id}/retry-failed", "POST /api/replays", "GET /api/replays/{id}",
    "POST /api/replays/{id}/cancel",
    "POST /api/replays/{id}/retry-failed", "GET /api/events", "GET /api/events/{id}",
    "GET /api/events/facets", "GET /api/events/fields", "GET /api/delivery-settings",
    "GET /api/events/{id}/outcomes",
    "GET /api/event-types", "POST /api/tenant-tokens", "GET /api/webhooks/{id}/replays",
    "GET /api/tenant-tokens", "DELETE /api/tenant-tokens/{id}", "GET /api/audit",
    "GET /api/hold", "POST /api/hold", "POST /api/release",
    "GET /api/replays", "GET /api/webhooks/{id}/pauses",
    "POST /api/portal-links", "GET /api/portal-links", "DELETE /api/portal-links/{id}",
    "GET /api/tenants", "GET /api/search", "GET /api/failing-webhooks", "GET /api/system",
}  # fmt: skip


def test_the_document_describes_exactly_the_calls_of_the_contract() -> None:
    paths = openapi.document(OPERATIONS)["paths"]

    found = {f"{method.upper()} {path}" for path, each in paths.items() for method in each}
    assert found == CALLS


def test_every_link_refers_to_an_existing_operation() -> None:
    ids = {operation.operation_id for operation in OPERATIONS}

    assert {link.operation_id for each in OPERATIONS for link in each.links.values()} <= ids


def test_only_the_event_to_explain_and_what_to_search_are_required_query_parameters() -> None:
    paths = openapi.document(OPERATIONS)["paths"]

    required = [
        (path, parameter["name"])
        for path, each in paths.items()
        for operation in each.values()
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and parameter["required"]
    ]
    assert required == [("/api/webhooks/{id}/explain", "eventId"), ("/api/search", "text")]


def test_a_test_event_can_have_any_type_and_those_of_the_catalogue_are_examples() -> None:
    described = schemas.TestEventRequest.model_json_schema()["properties"]["eventType"]

    assert "enum" not in described
    assert described["examples"] == [each.name for each in (*EVENT_TYPES, *OPERATIONAL_TYPES)]


def test_the_bounds_of_numbers_are_those_of_json_schema() -> None:
    described = schemas.CreateWebhookRequest.model_json_schema()["properties"]["maxInFlight"]

    assert described["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 256}


async def test_the_reference_page_needs_no_script_and_no_other_resource(
    app: Application, database: str
) -> None:
    async with serving_api(database, await app.tenant()) as operator:
        page = await operator.with_headers(Authorization=None).get("/docs")
        document = await operator.with_headers(Authorization=None).get("/openapi.json")

    assert (page.status, document.status) == (200, 200)
    assert page.headers["Content-Type"].startswith("text/html")
    assert document.json["openapi"] == "3.1.0"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page.text) == []
    assert "<script" not in page.text
    for operation in OPERATIONS:
        assert f'id="{operation.operation_id}"' in page.text


PAGE = reference_page.render(openapi.document(OPERATIONS))


def rows_of(name: str) -> dict[str, str]:
    """The table rows of an operation or a schema, by their first word."""
    article = re.search(rf'<article id="{name}">(.*?)</article>', PAGE, re.DOTALL)
    assert article is not None
    rows = re.findall("<tr>(.*?)</tr>", article[1], re.DOTALL)
    return {re.sub("<[^>]*>", " ", row).split()[0]: " ".join(row.split()) for row in rows}


def test_the_reference_page_links_every_schema_that_it_names() -> None:
    members = rows_of("createWebhook")

    assert '<a href="#EventFilters">EventFilters</a> or null' in members["eventFilters"]
    assert 'list of <a href="#Delivery">Delivery</a>' in rows_of("DeliveryList")["deliveries"]
    assert "object of (string or null) or null" in rows_of("updateWebhook")["customHeaders"]
    assert set(re.findall('href="#([^"]*)"', PAGE)) <= set(re.findall('id="([^"]*)"', PAGE))


def test_the_reference_page_marks_required_members_and_those_that_are_always_present() -> None:
    assert "required" in rows_of("createWebhook")["endpointUrl"]
    assert "required" in rows_of("ClientCertificate")["key"]
    assert "always" not in str(rows_of("createWebhook"))
    assert "always" in rows_of("Webhook")["endpointUrl"]
    assert "required" not in str(rows_of("Webhook"))


def test_the_reference_page_shows_defaults_and_bounds() -> None:
    assert "from 1 to 200; default 50" in rows_of("listWebhookDeliveries")["limit"]
    assert "from 1 to 255 characters" in rows_of("createWebhook")["name"]
    assert "at most 10000 characters" in rows_of("createWebhook")["description"]
    assert "at most 100 items" in rows_of("createWebhook")["eventTypes"]
    assert "default true" in rows_of("createWebhook")["isActive"]
    assert "from 60 to 86400" in rows_of("createTenantToken")["expiresIn"]


def test_the_reference_page_has_each_event_with_a_sample_and_the_headers() -> None:
    document = openapi.document(OPERATIONS)

    assert document["webhooks"]
    for name, methods in document["webhooks"].items():
        article = re.search(
            rf'<article id="event.{re.escape(name)}">(.*?)</article>', PAGE, re.DOTALL
        )
        assert article is not None
        shown = re.search("<pre>(.*?)</pre>", article[1], re.DOTALL)
        assert shown is not None
        body = methods["post"]["requestBody"]["content"]["application/json"]
        assert json.loads(unescape(shown[1])) == body["example"]
    events = PAGE.partition('<h2 id="events">')[2]
    assert all(f"<code>{name}</code>" in events for name in document["components"]["parameters"])


def test_the_reference_page_lists_the_errors_of_each_operation() -> None:
    document = openapi.document(OPERATIONS)
    for methods in document["paths"].values():
        for operation in methods.values():
            errors = [status for status in operation["responses"] if status >= "400"]
            row = rows_of(operation["operationId"])["Errors"]
            assert re.findall("<code>([0-9]{3})</code>", row) == errors
    assert '<a href="#Problem">' in rows_of("createWebhook")["Errors"]


# A port that the documented URL pattern allows, on an unusual loopback address.
ADDRESS = ("127.8.4.43", 8443)


class OneName(FakeResolver):
    """A resolver that knows the receiver's name, and no other."""

    async def addresses(self, host: str) -> list[str]:
        if host not in self.answers:
            raise LookupFailedError("no such name")
        return await super().addresses(host)


@pytest.fixture
async def receiver_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[tuple[str, Authority]]:
    """An https URL that answers a daemon in this process, and the authority of its certificate."""
    authority = Authority()
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setattr(sender, "CaresResolver", lambda **_: OneName(receiver=[ADDRESS[0]]))
    context = authority.server("receiver.test")
    async with hostile(responding_with(OK), tls=context, at=ADDRESS):
        yield "https://receiver.test:8443/hook", authority


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("phases", "examples", "paths"),
    [
        # Generating requests for webhooks, or for all operations, takes more than ten seconds.
        ("fuzzing", 2, r"^/api/(deliveries|events|replays)(/\{id\})?$"),
        pytest.param("examples,coverage,fuzzing,stateful", 8, "", marks=pytest.mark.full),
    ],
)
async def test_schemathesis_finds_no_failure_with_all_its_checks(
    app: Application,
    database: str,
    receiver_url: tuple[str, Authority],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    phases: str,
    examples: int,
    paths: str,
) -> None:
    # Schemathesis sends more wrong tokens than a client may, and expects a 401 for each.
    monkeypatch.setattr(failed_logins, "MAX_FAILURES", 10**6)
    tenant = await app.tenant()
    for n in range(20):
        await app.event(tenant, {"n": n})
    url, authority = receiver_url
    client = authority.client("a-webhook")
    public = {"public_url": "https://hooks.example.com"}  # so that any address is accepted
    egress = {"allow_hosts": ["receiver.test"]}
    quiet = {"level": "error"}
    delivery = {"retry_schedules": {"patient": ["1h"]}}
    async with serving_api(
        *(database, tenant), admin=public, log=quiet, egress=egress, delivery=delivery
    ) as operator:
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("schemathesis"), "run", operator.url("/openapi.json")),
            *("--header", f"Authorization: Bearer {OPERATOR}"),
            *("--header", f"X-Tenant-ID: {tenant}"),
            *("--checks", "all", "--phases", phases, "--max-examples", str(examples)),
            *(("--include-path-regex", paths) if paths else ()),
            # It means to leave the token out, and `--header` adds it. `ignored_auth` does leave it
            # out, and `test_access.py` asks every operation without one.
            *("--exclude-checks", "missing_required_header"),
            *("--seed", "1", "--no-color"),
            cwd=tmp_path,
            env=os.environ
            | {
                "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
                "PYTHONPATH": str(ROOT),
                "WEBHOOKD_TEST_RECEIVER": url,
                "WEBHOOKD_TEST_CERTIFICATE": client.certificate,
                "WEBHOOKD_TEST_KEY": client.key,
                "WEBHOOKD_TEST_TENANT": str(tenant),
                "WEBHOOKD_TEST_SCHEDULE": "patient",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 840)

    assert process.returncode == 0, output.decode()
    done = re.findall(r"✅ (Examples|Coverage|Fuzzing|Stateful)\n", output.decode())
    assert [phase.lower() for phase in done] == phases.split(","), output.decode()
