"""Requests that no browser sends: each is refused, and none is an error of ours in the log."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.console import Console

POST = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\ntoken="
AUTHORITIES = ("[", "[::1", "[x]", "a:b", "[v1.x]", ":", "\u2100", "xn--a", "%", "a" * 300)


async def raw(console: Console, head: str) -> str:
    """The status of the answer to a request that is sent as it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", console.service.port)
    writer.write(head.encode())
    try:
        async with asyncio.timeout(5):
            return (await reader.readline()).split()[1].decode()
    finally:
        writer.close()


async def statuses(console: Console, heads: Sequence[str]) -> list[str]:
    return await asyncio.gather(*(raw(console, each) for each in heads))


@pytest.mark.parametrize("path", ["sign-in", "enter", "sign-out"])
async def test_an_origin_that_is_no_url_is_refused(
    console: Console, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host = f"127.0.0.1:{console.service.port}"
    head = f"POST /console/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    origins = ["null", "", host, *(f"http://{each}" for each in AUTHORITIES)]

    refused = await statuses(console, [f"{head}Origin: {each}\r\n{POST}" for each in origins])
    own = await raw(console, f"{head}Origin: http://{host.upper()}\r\n{POST}")

    assert set(refused) == {"403"}
    assert own in {"303", "422"}
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_a_host_target_or_address_that_cannot_be_read_is_refused(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    host = f"127.0.0.1:{console.service.port}"
    end = "Connection: close\r\n\r\n"
    heads = [
        *(f"GET /console/sign-in HTTP/1.1\r\nHost: {each}\r\n{end}" for each in AUTHORITIES),
        *(f"GET http://{each}/ HTTP/1.1\r\nHost: {each}\r\n{end}" for each in AUTHORITIES),
        *(f"GET http://{each}/ HTTP/1.1\r\nHost: {host}\r\n{end}" for each in AUTHORITIES),
        *(
            f"GET /console/sign-in HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {each}\r\n{end}"
            for each in AUTHORITIES
        ),
    ]

    found = await statuses(console, heads)

    assert {each for each in found if each.startswith("5")} == set()
    assert "Traceback" not in "".join(capsys.readouterr())
