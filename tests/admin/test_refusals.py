"""What the API refuses of webhooks, and how it says so; one daemon hears it all."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from tests.support.api_client import Answered, Caller, serving_api
from tests.support.application import Application
from tests.support.postgres import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "http://127.0.0.1:9/hook"


@pytest.fixture(scope="module")
def shared_database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    with temporary_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(shared_database: str) -> AsyncIterator[Caller]:
    connection = await asyncpg.connect(shared_database)
    tenant = await Application(connection).tenant()
    await connection.close()
    async with serving_api(shared_database, tenant, log={"level": "warning"}) as caller:
        yield caller


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no name": ({"endpointUrl": URL}, "#/name", "is missing"),
    "a header that looks sealed": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"X": "sealed:1:c4n4ry:AAAA"}},
        "#/customHeaders",
        "begins with sealed:, which marks sealed secrets",
    ),
    "no URL": ({"name": "x"}, "#/endpointUrl", "is missing"),
    "an empty name": ({"name": "", "endpointUrl": URL}, "#/name", "too short"),
    "a long name": ({"name": "x" * 256, "endpointUrl": URL}, "#/name", "at most 255"),
    "a member unknown": (
        {"name": "x", "endpointUrl": URL, "url": URL},
        "#/url",
        "is not known here",
    ),
    "a snake": (
        {"name": "x", "endpoint_url": URL},
        "#/endpoint_url",
        "endpoint_url: is not known here; did you mean endpointUrl?",
    ),
    "a camel in a filter": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"campaignIds": ["a"]}},
        "#/eventFilters/campaignIds",
        "did you mean campaign_ids?",
    ),
    "the secret chosen": (
        {"name": "x", "endpointUrl": URL, "secretKey": "whsec_x"},
        "#/secretKey",
        "is not known here",
    ),
    "a URL within": (
        {"name": "x", "endpointUrl": "http://169.254.169.254/latest"},
        "#/endpointUrl",
        "the host's address is not public; use a host on the public internet",
    ),
    "a URL of another kind": (
        {"name": "x", "endpointUrl": "gopher://127.0.0.1/"},
        "#/endpointUrl",
        "not of the form https://host/path",
    ),
    "a number for a name": ({"name": 5, "endpointUrl": URL}, "#/name", "must be a text"),
    "a type that is no type": (
        {"name": "x", "endpointUrl": URL, "eventTypes": ["email.opened", "e mail"]},
        "#/eventTypes/1",
        "is neither an event type",
    ),
    "a wildcard within": (
        {"name": "x", "endpointUrl": URL, "eventTypes": ["*.opened"]},
        "#/eventTypes/0",
        "is neither an event type",
    ),
    "a filter of no shape": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": 5}},
        "#/eventFilters/filters",
        "must be an object",
    ),
    "an object for a value": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": {"a": {"b": 1}}}},
        "#/eventFilters/filters/a",
        "must be a text, a number, true, false, null, or a list of these",
    ),
    "a list of nothing": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": {"a": []}}},
        "#/eventFilters/filters/a",
        "must have from 1 to 1000 values",
    ),
    "a truth for an id": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"workspaces": ["a", True]}},
        "#/eventFilters/workspaces/1",
        "must be a text or a number",
    ),
    "a path too long": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": {".".join("a" * 17): 1}}},
        "#/eventFilters/filters/" + ".".join("a" * 17),
        "more than 16 parts",
    ),
    "too many values in all": (
        {
            "name": "x",
            "endpointUrl": URL,
            "eventFilters": {"filters": {str(n): list(range(20)) for n in range(51)}},
        },
        "#/eventFilters",
        "at most 1000 values in all",
    ),
    "a filter that is longer as PostgreSQL prints it": (
        {"name": "x", "endpointUrl": URL, "eventFilters": {"filters": {"a": [1e-300] * 60}}},
        "#/eventFilters",
        "at most 16384 characters of JSON",
    ),
    "a reserved header": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"Host": "inside"}},
        "#/customHeaders",
        "the header Host is reserved",
    ),
    "a split header": (
        {"name": "x", "endpointUrl": URL, "customHeaders": {"X": "a\r\nY: b"}},
        "#/customHeaders",
        "the value of the header X is not printable",
    ),
    "no certificate": (
        {
            "name": "x",
            "endpointUrl": URL,
            "clientCertificate": {"certificate": "x", "key": "c4n4ry"},
        },
        "#/clientCertificate",
        "cannot be used",
    ),
    "no mail address": (
        {"name": "x", "endpointUrl": URL, "notificationEmail": "a@b\nBcc: c@d"},
        "#/notificationEmail",
        "is not an email address",
    ),
    "a mail address that no server takes": (
        {"name": "x", "endpointUrl": URL, "notificationEmail": "ops@-example.com"},
        "#/notificationEmail",
        "is not an email address",
    ),
}


@pytest.mark.parametrize(("body", "pointer", "told"), WRONG.values(), ids=WRONG)
async def test_a_webhook_is_not_made_with(
    api: Caller, body: dict[str, Any], pointer: str, told: str
) -> None:
    before = await api.get("/api/webhooks", limit=200)

    answer = await api.post("/api/webhooks", body)

    after = await api.get("/api/webhooks", limit=200)

    assert answer.status == 422
    assert pointer in answer.pointers
    assert told in answer.text
    assert "c4n4ry" not in answer.text
    assert after.json == before.json


MASSES: dict[str, dict[str, Any]] = {
    "members": {f"m{n}": 1 for n in range(80_000)},
    "members of a filter": {"eventFilters": {f"m{n}": 1 for n in range(70_000)}},
    "types": {"eventTypes": [""] * 300_000},
    "types in a filter": {"eventFilters": {"event_types": [1] * 300_000}},
    "ids": {"eventFilters": {"workspaces": [[0]] * 250_000}},
    "values": {"eventFilters": {"filters": {"a": [[1]] * 200_000}}},
    "paths": {"eventFilters": {"filters": {f"a..{n}": [] for n in range(70_000)}}},
    "headers": {"customHeaders": {f"h{n}": 1 for n in range(70_000)}},
    "letters of a name": {"x" * 900_000: 1},
    "letters of a path": {"eventFilters": {"filters": {"x." * 400_000: 1}}},
}


@pytest.mark.parametrize("members", MASSES.values(), ids=MASSES)
async def test_of_any_number_of_mistakes_a_few_are_told(
    api: Caller, members: dict[str, Any]
) -> None:
    answer = await api.post("/api/webhooks", {"name": "x", "endpointUrl": URL, **members})

    assert answer.status == 422
    assert 1 <= len(answer.pointers) <= 20
    assert len(answer.text) < 4096


async def test_a_filter_that_the_api_takes_is_one_that_can_be_used(api: Caller) -> None:
    largest = [
        {"filters": {"a": [2**64 - 1, -(2**63), 0.1, 1e-300, 1.5e19]}},
        {"filters": {"a": [1e-300] * 50}},
        {"filters": {f"p{n}": [*range(10)] for n in range(100)}},
        {"filters": {'ü"\n' * 2700: 1}},
        {"event_types": ["é" * 80] * 100, "workspaces": [*range(1000)]},
    ]

    made = [await api.webhook(URL, eventFilters=each) for each in largest]
    again = [await api.patch(f"/api/webhooks/{each['id']}", {"name": "y"}) for each in made]

    assert [each.status for each in again] == [200] * len(largest)


@pytest.mark.parametrize(
    ("body", "media_type", "status", "told"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"\xff", "application/json", 400, "not JSON"),
        (b"[]", "application/json", 422, "must be a JSON object"),
        (b'"x"', "application/json", 422, "must be a JSON object"),
        (b"", "application/json", 400, "is empty"),
        (b"{}", "text/plain", 415, "must be application/json"),
        (b"name=x", "application/x-www-form-urlencoded", 415, "must be application/json"),
        (b'{"name":"\\u0000","endpointUrl":"x"}', "application/json", 422, "NUL"),
        (b'{"name":"\\ud800","endpointUrl":"x"}', "application/json", 400, "not JSON"),
        (b" " * (1024 * 1024 + 1), "application/json", 413, "larger than 1 MiB"),
        (b"[" * 100_000, "application/json", 400, "not JSON"),
    ],
)
async def test_a_body_that_cannot_be_read_is_told_apart(
    api: Caller, body: bytes, media_type: str, status: int, told: str
) -> None:
    answer = await api.call(
        "POST", "/api/webhooks", data=io.BytesIO(body), headers={"Content-Type": media_type}
    )

    assert answer.status == status
    assert told in answer.error


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": None}, "#/name"),
        ({"name": ""}, "#/name"),
        ({"endpointUrl": None}, "#/endpointUrl"),
        ({"endpointUrl": "http://10.0.0.1/"}, "#/endpointUrl"),
        ({"isActive": None}, "#/isActive"),
        ({"secretKey": "whsec_x"}, "#/secretKey"),
        ({"eventFilters": {"x": 1}}, "#/eventFilters/x"),
        ({"customHeaders": {"Host": "x"}}, "#/customHeaders"),
        ({"customHeaders": {"X-Key": "sealed:1:0123abcd:AAAA"}}, "#/customHeaders"),
    ],
)
async def test_a_change_to_what_cannot_be_is_refused_and_changes_nothing(
    api: Caller, change: dict[str, Any], pointer: str
) -> None:
    made = await api.webhook(URL)

    answer = await api.patch(f"/api/webhooks/{made['id']}", change)

    after = await api.get(f"/api/webhooks/{made['id']}")
    assert (answer.status, answer.pointers) == (422, [pointer])
    assert after.json == {name: made[name] for name in after.json}


async def test_what_takes_no_body_takes_none(api: Caller) -> None:
    made = await api.webhook(URL)
    path = f"/api/webhooks/{made['id']}/pause"

    with_one = await api.post(path, {"reason": "holidays"})
    with_an_empty_one = await api.post(path, {})

    assert (with_one.status, with_one.error) == (422, "this takes no body")
    assert with_an_empty_one.status == 200


@pytest.mark.parametrize("overlap", ["-1s", "31d", "soon", "", 5, None])
async def test_an_overlap_is_from_none_to_thirty_days(api: Caller, overlap: object) -> None:
    made = await api.webhook(URL)

    answer = await api.post(f"/api/webhooks/{made['id']}/rotate-secret", {"overlap": overlap})

    assert (answer.status, answer.pointers) == (422, ["#/overlap"])


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"limit": 0}, "limit: must be at least 1"),
        ({"limit": 201}, "limit: must be at most 200"),
        ({"limit": "x"}, "limit: must be a whole number"),
        ({"after": "x"}, "after: must be a UUID"),
        ({"offset": 1}, "offset: is not known here"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(
    api: Caller, query: dict[str, object], told: str
) -> None:
    answer = await api.get("/api/webhooks", **query)

    assert (answer.status, answer.error) == (422, told)
    assert answer.json["errors"][0]["parameter"] == next(iter(query))


@pytest.mark.parametrize("name", ["nothing", str(uuid4()), "x" * 300, "%00"])
async def test_what_is_not_there_is_a_404(api: Caller, name: str) -> None:
    answer: Answered = await api.get(f"/api/webhooks/{name}")

    assert (answer.status, answer.error) == (404, "there is no such webhook")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "x-odd", "identity, gzip"])
async def test_a_body_in_a_coding_is_refused(api: Caller, coding: str) -> None:
    answer = await api.call(
        "POST",
        "/api/webhooks",
        data=io.BytesIO(b"c4n4ry"),
        headers={"Content-Type": "application/json", "Content-Encoding": coding},
    )

    assert (answer.status, "Content-Encoding" in answer.error) == (415, True)


@pytest.mark.parametrize("depth", [200, 255, 999])
@pytest.mark.parametrize("member", ["name", "eventFilters", "another"])
async def test_a_body_of_any_depth_is_told_what_is_wrong(
    api: Caller, member: str, depth: int
) -> None:
    nest = '{"a":' * depth + "1" + "}" * depth
    body = f'{{"name":"x","endpointUrl":"{URL}","{member}":{nest}}}'

    answer = await api.call(
        "POST", "/api/webhooks", data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status == 422
    assert answer.error


@pytest.mark.parametrize("member", ["filters", "workspaces"])
@pytest.mark.parametrize("number", [2**63, 2**64, -(2**64), 10**300 + 1])
async def test_integers_of_any_length_can_be_filtered_by(
    api: Caller, number: int, member: str
) -> None:
    filters = {"filters": {"a": [number]}} if member == "filters" else {member: [number]}
    body = json.dumps({"name": "x", "endpointUrl": URL, "eventFilters": filters})

    answer = await api.call(
        "POST", "/api/webhooks", data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status == 201, answer
    assert str(number) in answer.text


async def test_what_may_be_expected_is_told_without_quoting(api: Caller) -> None:
    answer = await api.call("POST", "/api/webhooks", {}, headers={"Expect": "c4n4ry"})

    assert (answer.status, answer.error) == (417, "Expect may only be 100-continue")
    assert "c4n4ry" not in answer.text


async def test_whoever_expects_to_go_on_may(api: Caller) -> None:
    body = {"name": "x", "endpointUrl": URL}

    answer = await api.call("POST", "/api/webhooks", body, expect100=True)

    assert answer.status == 201


async def test_a_caller_that_goes_away_is_no_database_out_of_reach(
    api: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    url = urlsplit(api.url("/api/webhooks"))
    head = "".join(f"{name}: {value}\r\n" for name, value in api.headers.items())
    for ending in ("close", "reset"):
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n{head}"
            'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"a"'.encode()
        )
        await asyncio.sleep(0.1)
        writer.close() if ending == "close" else writer.transport.abort()
    await asyncio.sleep(0.2)

    assert (await api.get("/api/webhooks")).status == 200
    told = "".join(capsys.readouterr())
    assert "database" not in told
    assert "failed" not in told


@pytest.mark.parametrize(
    "request_",
    [
        "GARBAGE c4n4ry\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: Bearer c4n4ry\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nX-A : c4n4ry\r\n\r\n",
        "POST /api/webhooks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nc4n4ry\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + "c4n4ry" * 9000 + "\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_told_so_without_quoting(api: Caller, request_: str) -> None:
    url = urlsplit(api.url("/"))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request_.encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()

    assert answer.split(b" ")[1] == b"400"
    assert b"application/problem+json" in answer
    assert b"this is not HTTP" in answer
    assert b"c4n4ry" not in answer
    assert b"aiohttp" not in answer
