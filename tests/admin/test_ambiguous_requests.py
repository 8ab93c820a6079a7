"""Requests that two parsers could read differently are refused, whatever they ask for."""

import asyncio
import re

import pytest

from tests.support.api_client import OPERATOR, ApiClient
from tests.support.raw_http import connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "Host: 127.0.0.1"
OTHER_TENANT = "X-Tenant-ID: 6a2f41a3-c54c-4ce8-8c1d-3a5a3c1d9d6b"
OTHER_HOST = "names another host than the Host header"


async def answer_to(api: ApiClient, *lines: str) -> tuple[int, bytes]:
    """Send a head of these lines; return the status and the whole answer."""
    async with connected(api) as client:
        client.send("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        answer = await client.read_to_end()
    return int(answer.split(b" ")[1]), answer


def credentials(api: ApiClient) -> list[str]:
    return [f"{name}: {value}" for name, value in api.headers.items()]


@pytest.mark.parametrize(
    "again",
    [
        f"Authorization: Bearer {OPERATOR}",
        "Authorization: Bearer another-token-another",
        "authorization: Basic eDp5",
        OTHER_TENANT,
        OTHER_TENANT.upper(),
        "X-Tenant-ID:",
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_second_token_or_tenant_is_a_400(
    shared_api: ApiClient, again: str, place: str
) -> None:
    first, *lines = "GET /api/webhooks HTTP/1.1", HOST, *credentials(shared_api)
    lines = [again, *lines] if place == "before" else [*lines, again]

    status, answer = await answer_to(shared_api, first, *lines)

    assert status == 400
    assert b"application/problem+json" in answer
    assert b"sent more than once" in answer


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://evil.example{path}", "127.0.0.1"),
        ("http://127.0.0.1{path}", "localhost"),
        ("http://127.0.0.1:8484{path}", "127.0.0.1"),
        ("http://127.0.0.1:80{path}", "127.0.0.1:8484"),
        ("http://user@127.0.0.1{path}", "127.0.0.1"),
        ("http://127.0.0.1@evil.example{path}", "127.0.0.1"),
        ("ftp://127.0.0.1{path}", "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("path", ["/api/webhooks", "/healthz", "/nowhere"])
async def test_a_target_that_names_another_host_is_a_400(
    shared_api: ApiClient, target: str, host: str, path: str
) -> None:
    status, answer = await answer_to(
        shared_api,
        f"GET {target.format(path=path)} HTTP/1.1",
        f"Host: {host}",
        *credentials(shared_api),
    )

    assert status == 400
    assert OTHER_HOST.encode() in answer


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/api/webhooks", "127.0.0.1"),
        ("http://127.0.0.1/api/webhooks", "127.0.0.1"),
        ("http://127.0.0.1:8484/api/webhooks", "127.0.0.1:8484"),
        ("http://127.0.0.1:80/api/webhooks", "127.0.0.1"),
        ("https://localhost/api/webhooks", "localhost:443"),
        ("HTTP://LOCALHOST/api/webhooks", "localhost"),
        ("http://[::1]:8484/api/webhooks?limit=1", "[::1]:8484"),
    ],
)
async def test_a_target_that_names_the_same_host_is_served(
    shared_api: ApiClient, target: str, host: str
) -> None:
    status, _ = await answer_to(
        shared_api, f"GET {target} HTTP/1.1", f"Host: {host}", *credentials(shared_api)
    )

    assert status == 200


async def test_a_target_of_a_host_that_is_not_allowed_is_a_421(shared_api: ApiClient) -> None:
    status, _ = await answer_to(
        shared_api,
        "GET http://evil.example/api/webhooks HTTP/1.1",
        "Host: evil.example",
        *credentials(shared_api),
    )

    assert status == 421


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [HOST, HOST],
        [HOST, "Host: evil.example"],
        ["host: evil.example", HOST],
        [HOST, "Content-Length: 0", "Content-Length: 0"],
        [HOST, "Content-Length: 0", "Content-Length: 1"],
        [HOST, "Content-Length: 1, 1"],
        [HOST, "Content-Length: +1"],
        [HOST, "Content-Length: 5", "Transfer-Encoding: chunked"],
        [HOST, "Transfer-Encoding: chunked", "Content-Length: 5"],
        [HOST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        [HOST, "Transfer-Encoding: identity"],
        [HOST, "Transfer-Encoding: chunked, gzip"],
        [HOST, "Transfer-Encoding: gzip, chunked"],
        [HOST, "Transfer-Encoding: xchunked"],
        [HOST, "Transfer-Encoding : chunked"],
    ],
)
@pytest.mark.parametrize("path", ["/api/webhooks", "/healthz"])
async def test_an_ambiguous_head_is_a_400(
    shared_api: ApiClient, path: str, headers: list[str]
) -> None:
    async with connected(shared_api) as client:
        lines = [f"POST {path} HTTP/1.1", *headers, *credentials(shared_api), "", "0", "", ""]
        client.send("\r\n".join(lines).encode())
        answer = await client.read_to_end()

    assert answer.split(b" ")[1] == b"400"
    # What followed the head was not read as a request.
    assert len(re.findall(rb"HTTP/1\.[01] [0-9]", answer)) == 1
    assert b"application/problem+json" in answer


async def test_a_chunked_request_of_http_1_0_is_a_400(shared_api: ApiClient) -> None:
    async with connected(shared_api) as client:
        client.send(b"POST /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        answer = await client.read_to_end()

    assert answer.split(b" ")[1] == b"400"


async def test_an_absolute_target_without_a_host_header_is_a_400(shared_api: ApiClient) -> None:
    status, _ = await answer_to(shared_api, "GET http://127.0.0.1/healthz HTTP/1.0")

    assert status == 400


@pytest.mark.parametrize("line", ["OPTIONS * HTTP/1.1", "CONNECT 127.0.0.1:80 HTTP/1.1"])
async def test_other_forms_of_targets_are_a_404(shared_api: ApiClient, line: str) -> None:
    status, _ = await answer_to(shared_api, line, HOST, *credentials(shared_api))

    assert status == 404


async def test_a_probe_of_http_1_0_needs_no_host(shared_api: ApiClient) -> None:
    status, _ = await answer_to(shared_api, "GET /healthz HTTP/1.0")

    assert status == 200


async def test_a_chunked_body_is_served(shared_api: ApiClient) -> None:
    body = b'{"name": "x", "endpointUrl": "http://127.0.0.1:9/"}'
    head = [
        *("POST /api/webhooks HTTP/1.1", HOST, "Content-Type: application/json"),
        *("Transfer-Encoding: Chunked", "Connection: close", *credentials(shared_api), "", ""),
    ]
    async with connected(shared_api) as client:
        client.send("\r\n".join(head).encode() + b"%x\r\n%s\r\n" % (len(body), body))
        await asyncio.sleep(0)
        client.send(b"0\r\n\r\n")
        answer = await client.read_to_end()

    assert answer.split(b" ")[1] == b"201"


@pytest.mark.parametrize("first", ["GET /healthz", "GET /healthz HTTP/0.9"])
async def test_a_request_without_a_version_from_1_0_on_is_a_400(
    shared_api: ApiClient, first: str
) -> None:
    _, answer = await answer_to(shared_api, first, HOST)

    assert b" 400 " in answer
    assert b"malformed HTTP request" in answer or b"names no version" in answer
