"""The API's description, held against what is served."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.admin import schemas
from daemon.admin.api import openapi, reference_page
from daemon.core.event_types import EVENT_TYPES
from daemon.egress import client as sender
from daemon.egress.resolver import LookupFailedError
from tests.admin.test_access import OPERATIONS
from tests.support.api_client import OPERATOR, serving_api
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.client import Names
from tests.support.commandline import ROOT
from tests.support.hostile import OK, hostile, saying

# The contract's section 7, and the list that a page of replays needs.
CALLS = {
    "POST /api/webhooks", "GET /api/webhooks", "GET /api/webhooks/{id}",
    "PATCH /api/webhooks/{id}", "DELETE /api/webhooks/{id}", "POST /api/webhooks/{id}/pause",
    "POST /api/webhooks/{id}/resume", "POST /api/webhooks/{id}/rotate-secret",
    "POST /api/webhooks/{id}/test", "GET /api/webhooks/{id}/deliveries",
    "GET /api/deliveries/{id}", "POST /api/deliveries/{id}/retry",
    "POST /api/webhooks/{id}/retry-failed", "POST /api/replays", "GET /api/replays/{id}",
    "POST /api/replays/{id}/cancel", "GET /api/events", "GET /api/events/{id}",
    "GET /api/event-types", "POST /api/tenant-tokens", "GET /api/webhooks/{id}/replays",
}  # fmt: skip


def test_every_call_of_the_contract_is_described_and_no_other() -> None:
    paths = openapi.document(OPERATIONS)["paths"]

    found = {f"{method.upper()} {path}" for path, each in paths.items() for method in each}
    assert found == CALLS


def test_every_link_leads_to_an_operation_that_is_there() -> None:
    names = {operation.name for operation in OPERATIONS}

    assert {link.operation for each in OPERATIONS for link in each.links.values()} <= names


def test_the_types_of_test_events_are_the_13() -> None:
    described = schemas.TestEvent.model_json_schema()["properties"]["eventType"]["enum"]

    assert described == [each.name for each in EVENT_TYPES]


async def test_the_reference_is_a_page_that_needs_nothing_from_elsewhere(
    app: Application, database: str
) -> None:
    async with serving_api(database, await app.tenant()) as operator:
        page = await operator.with_headers(Authorization=None).get("/docs")
        description = await operator.with_headers(Authorization=None).get("/openapi.json")

    assert (page.status, description.status) == (200, 200)
    assert page.headers["Content-Type"].startswith("text/html")
    assert description.json["openapi"] == "3.1.0"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page.text) == []
    assert "<script" not in page.text
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in page.text


PAGE = reference_page.reference(openapi.document(OPERATIONS))


def rows_of(name: str) -> dict[str, str]:
    """The rows of an operation's or a shape's tables, by what stands first in them."""
    article = re.search(rf'<article id="{name}">(.*?)</article>', PAGE, re.DOTALL)
    assert article is not None
    rows = re.findall("<tr>(.*?)</tr>", article[1], re.DOTALL)
    return {re.sub("<[^>]*>", " ", row).split()[0]: " ".join(row.split()) for row in rows}


def test_the_reference_links_every_shape_that_it_names() -> None:
    members = rows_of("addWebhook")

    assert '<a href="#EventFilters">EventFilters</a> or null' in members["eventFilters"]
    assert 'list of <a href="#Delivery">Delivery</a>' in rows_of("Deliveries")["deliveries"]
    assert "object of (string or null) or null" in rows_of("changeWebhook")["customHeaders"]
    assert set(re.findall('href="#([^"]*)"', PAGE)) <= set(re.findall('id="([^"]*)"', PAGE))


def test_the_reference_says_what_a_request_requires_and_what_an_answer_always_has() -> None:
    assert "required" in rows_of("addWebhook")["endpointUrl"]
    assert "required" in rows_of("ClientCertificateTaken")["key"]
    assert "always" not in str(rows_of("addWebhook"))
    assert "always" in rows_of("Webhook")["endpointUrl"]
    assert "required" not in str(rows_of("Webhook"))


def test_the_reference_tells_defaults_and_bounds_of_parameters_and_members() -> None:
    assert "from 1 to 200; 50 unless given" in rows_of("listDeliveries")["limit"]
    assert "from 1 to 255 characters" in rows_of("addWebhook")["name"]
    assert "at most 10000 characters" in rows_of("addWebhook")["description"]
    assert "at most 100 items" in rows_of("addWebhook")["eventTypes"]
    assert "true unless given" in rows_of("addWebhook")["isActive"]
    assert "from 60 to 86400" in rows_of("addTenantToken")["expiresIn"]


def test_the_reference_lists_the_errors_of_each_operation() -> None:
    document = openapi.document(OPERATIONS)
    for methods in document["paths"].values():
        for operation in methods.values():
            errors = [status for status in operation["responses"] if status >= "400"]
            told = rows_of(operation["operationId"])["Otherwise"]
            assert re.findall("<code>([0-9]{3})</code>", told) == errors
    assert '<a href="#ProblemTold">' in rows_of("addWebhook")["Otherwise"]


# A port that the description allows for, on an address that is hardly anybody's.
PLACE = ("127.8.4.43", 8443)


class OneName(Names):
    """A resolver that knows the receiver, and asks nobody for any other name."""

    async def addresses(self, host: str) -> list[str]:
        if host not in self.answers:
            raise LookupFailedError("it is not there")
        return await super().addresses(host)


@pytest.fixture
async def receiver_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[tuple[str, Authority]]:
    """An ordinary https URL that answers, for a daemon in this process; and who vouches for it."""
    authority = Authority()
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setattr(sender, "CaresResolver", lambda: OneName(receiver=[PLACE[0]]))
    context = authority.server("receiver.test")
    async with hostile(saying(OK), tls=context, at=PLACE):
        yield "https://receiver.test:8443/hook", authority


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("phases", "examples"),
    [
        ("fuzzing,stateful", 2),
        pytest.param("examples,coverage,fuzzing,stateful", 8, marks=pytest.mark.full),
    ],
)
async def test_schemathesis_finds_nothing_with_all_of_its_checks(
    app: Application,
    database: str,
    receiver_url: tuple[str, Authority],
    tmp_path: Path,
    *,
    phases: str,
    examples: int,
) -> None:
    tenant = await app.tenant()
    for n in range(20):
        await app.event(tenant, {"n": n})
    url, authority = receiver_url
    client = authority.client("a-webhook")
    async with serving_api(database, tenant, log={"level": "error"}) as operator:
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("schemathesis"), "run", operator.url("/openapi.json")),
            *("--header", f"Authorization: Bearer {OPERATOR}"),
            *("--header", f"X-Tenant-ID: {tenant}"),
            *("--checks", "all", "--phases", phases, "--max-examples", str(examples)),
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
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await asyncio.wait_for(process.communicate(), 280)

    assert process.returncode == 0, told.decode()
    done = re.findall(r"✅ (Examples|Coverage|Fuzzing|Stateful)\n", told.decode())
    assert [phase.lower() for phase in done] == phases.split(","), told.decode()
