"""Heads that are taken for what they were parsed as: the same response as from the parser."""

import pytest

from daemon.egress.known_heads import LONGEST_RESPONSE, KnownHeads
from daemon.egress.response_parser import ResponseParser

HEAD = b"HTTP/1.1 200 OK\r\nX-Any: 1\r\nContent-Length: 2\r\n\r\n"


def parse(data: bytes) -> ResponseParser:
    parser = ResponseParser()
    parser.feed(data)
    return parser


def known_after(data: bytes) -> KnownHeads:
    heads = KnownHeads()
    heads.remember(data, parse(data))
    return heads


def test_another_response_with_a_known_head_is_what_the_parser_would_make_of_it() -> None:
    heads = known_after(HEAD + b"OK")
    parsed = parse(HEAD + b"no")

    found = heads.find(HEAD + b"no")

    assert found is not None
    head, body = found
    assert (head.status, list(head.headers), body) == (200, parsed.headers, bytes(parsed.body))


@pytest.mark.parametrize(
    "data", [HEAD, HEAD + b"O", HEAD + b"OK!", b"O" + HEAD + b"OK", b"", b"OK"]
)
def test_what_is_not_one_whole_response_must_be_parsed(data: bytes) -> None:
    assert known_after(HEAD + b"OK").find(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n" + HEAD + b"OK",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"OK",
        HEAD + b"O",
        HEAD.replace(b": 2", b": %d" % LONGEST_RESPONSE) + b"x" * LONGEST_RESPONSE,
    ],
)
def test_other_heads_are_not_remembered(data: bytes) -> None:
    heads = known_after(data)

    assert heads.find(data) is None
    assert heads.find(HEAD + b"OK") is None
