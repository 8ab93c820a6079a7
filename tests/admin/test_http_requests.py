"""Requests that break the rules of HTTP or of JSON; all tests share one daemon."""

import asyncio
import io
from urllib.parse import urlsplit

import pytest

from tests.support.api_client import ApiClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "http://127.0.0.1:9/hook"


@pytest.mark.parametrize(
    ("body", "media_type", "status", "error"),
    [
        (b"{", "application/json", 400, "not valid JSON"),
        (b"\xff", "application/json", 400, "not valid JSON"),
        (b"[]", "application/json", 422, "must be a JSON object"),
        (b'"x"', "application/json", 422, "must be a JSON object"),
        (b"", "application/json", 400, "is empty"),
        (b"{}", "text/plain", 415, "must be application/json"),
        (b"name=x", "application/x-www-form-urlencoded", 415, "must be application/json"),
        (b'{"name":"\\u0000","endpointUrl":"x"}', "application/json", 422, "NUL"),
        (b'{"name":"\\ud800","endpointUrl":"x"}', "application/json", 400, "not valid JSON"),
        (b" " * (1024 * 1024 + 1), "application/json", 413, "larger than 1 MiB"),
        (b"[" * 20_000, "application/json", 400, "not valid JSON"),
        (b"[" * 100_000, "application/json", 422, "too many members"),
    ],
)
async def test_an_unreadable_body_is_rejected(
    shared_api: ApiClient, body: bytes, media_type: str, status: int, error: str
) -> None:
    answer = await shared_api.call(
        "POST", "/api/webhooks", data=io.BytesIO(body), headers={"Content-Type": media_type}
    )

    assert answer.status == status
    assert error in answer.error


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "x-odd", "identity, gzip"])
async def test_a_body_with_a_content_encoding_is_rejected(
    shared_api: ApiClient, encoding: str
) -> None:
    answer = await shared_api.call(
        "POST",
        "/api/webhooks",
        data=io.BytesIO(b"c4n4ry"),
        headers={"Content-Type": "application/json", "Content-Encoding": encoding},
    )

    assert (answer.status, "Content-Encoding" in answer.error) == (415, True)


@pytest.mark.parametrize("depth", [200, 255, 999])
@pytest.mark.parametrize("member", ["name", "eventFilters", "another"])
async def test_a_deeply_nested_body_is_a_422(
    shared_api: ApiClient, member: str, depth: int
) -> None:
    nest = '{"a":' * depth + "1" + "}" * depth
    body = f'{{"name":"x","endpointUrl":"{URL}","{member}":{nest}}}'

    answer = await shared_api.call(
        "POST", "/api/webhooks", data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status == 422
    assert answer.error


async def test_an_unsupported_expectation_is_a_417_that_does_not_quote_it(
    shared_api: ApiClient,
) -> None:
    answer = await shared_api.call("POST", "/api/webhooks", {}, headers={"Expect": "c4n4ry"})

    assert (answer.status, answer.error) == (417, "the only supported Expect value is 100-continue")
    assert "c4n4ry" not in answer.text


async def test_a_client_that_expects_100_continue_may_send_its_body(shared_api: ApiClient) -> None:
    body = {"name": "x", "endpointUrl": URL}

    answer = await shared_api.call("POST", "/api/webhooks", body, expect100=True)

    assert answer.status == 201


async def test_a_client_that_disconnects_is_not_logged_as_a_failure(
    shared_api: ApiClient, capsys: pytest.CaptureFixture[str]
) -> None:
    url = urlsplit(shared_api.url("/api/webhooks"))
    head = "".join(f"{name}: {value}\r\n" for name, value in shared_api.headers.items())
    for ending in ("close", "reset"):
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n{head}"
            'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"a"'.encode()
        )
        await asyncio.sleep(0.1)
        writer.close() if ending == "close" else writer.transport.abort()
    await asyncio.sleep(0.2)

    assert (await shared_api.get("/api/webhooks")).status == 200
    logged = "".join(capsys.readouterr())
    assert "database" not in logged
    assert "failed" not in logged


@pytest.mark.parametrize(
    "request_bytes",
    [
        "GARBAGE c4n4ry\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: Bearer c4n4ry\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nX-A : c4n4ry\r\n\r\n",
        "POST /api/webhooks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nc4n4ry\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + "c4n4ry" * 9000 + "\r\n\r\n",
    ],
)
async def test_malformed_http_is_a_400_that_does_not_quote_it(
    shared_api: ApiClient, request_bytes: str
) -> None:
    url = urlsplit(shared_api.url("/"))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request_bytes.encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()

    assert answer.split(b" ")[1] == b"400"
    assert b"application/problem+json" in answer
    assert b"malformed HTTP request" in answer
    assert b"c4n4ry" not in answer
    assert b"aiohttp" not in answer


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/webhooks", "/docs", "/nothing"])
async def test_no_response_names_a_version_may_be_framed_or_leaves_its_type_to_a_guess(
    shared_api: ApiClient, path: str
) -> None:
    answer = await shared_api.get(path)

    assert answer.headers["Server"] == "webhookd"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
