"""No spelling of a forbidden address is accepted, and every ordinary URL is."""

import sys
import unicodedata
from ipaddress import IPv4Address, IPv6Address

import idna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.core.policy.addresses import GLOBAL_V6, judge_literal
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import Target, judge_url
from tests.core.policy.url_corpus import (
    ACCEPTED,
    INSIDE,
    LENIENT,
    REFUSED,
    STRICT,
    allowing,
    embedded,
    forbidden_v4,
    forbidden_v6,
    ipv4,
    ipv6,
    within,
)


def host_of(url: str, policy: EgressPolicy = STRICT) -> str:
    target = judge_url(url, policy)
    assert isinstance(target, Target), target
    return target.host


def test_the_corpus_has_at_least_200_refused_and_40_accepted_urls() -> None:
    assert len(set(REFUSED)) == len(REFUSED) >= 200
    assert len(ACCEPTED) >= 40


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_a_url_of_the_corpus_is_refused(url: str) -> None:
    refusal = judge_url(url, STRICT)

    assert isinstance(refusal, Refusal)
    assert refusal.reason.isascii()
    assert "127.0.0.1" not in refusal.reason


@pytest.mark.parametrize(("url", "host"), ACCEPTED.items(), ids=ascii)
def test_a_url_of_the_corpus_is_accepted(url: str, host: str) -> None:
    assert host_of(url) == host


REASONS = {
    "http://example.com/": "the URL must begin with https://",
    "ftp://example.com/": "the URL is not of the form https://host/path",
    "https://u:p@example.com/": (
        "the URL must not contain a user name or password; use an Authorization header"
    ),
    "https://a b.com/": "the URL must not contain white space, backslashes or control characters",
    "https://a.com\\b": "the URL must not contain white space, backslashes or control characters",
    "https://a%62.com/": "the URL's host must not be percent-encoded; write it in plain characters",
    "https:///": "the URL's host is not a valid domain name",
    "https://a.com:99999/": "the URL's port is not a number from 1 to 65535",
    "https://a.com:80/": "port 80 is not allowed; allowed: 443, 8443",
    "https://127.1/": "an IPv4 address must be written as four decimal numbers",
    "https://①.com/": "the URL's host must have its digits and dots in ASCII, not look-alikes",
    "https://10.0.0.1/": "the host's address is not public; use a host on the public internet",
    "https://localhost/": "the host's address is not public; use a host on the public internet",
    "https://[::1]/": "the host's address is not public; use a host on the public internet",
    "https://[x]/": "the URL's host is not a valid IP address",
    "https://[::ffff:8.8.8.8]/": "an IPv4 address must not be written as an IPv6 address",
    "https://intranet/": "the host's name is not public; use a host on the public internet",
    "https://a.com/#b": "the URL must not contain a fragment; write # as %23",
    "https://a.com/" + "a" * 3000: "the URL is longer than 2048 characters",
}


@pytest.mark.parametrize(("url", "reason"), REASONS.items(), ids=REASONS.values())
def test_a_refusal_states_its_cause(url: str, reason: str) -> None:
    assert judge_url(url, STRICT) == Refusal(reason)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (
            "https://Example.com/a?b",
            Target(True, "example.com", 443, "example.com", "/a?b"),
        ),
        (
            "https://example.com:8443?b",
            Target(True, "example.com", 8443, "example.com:8443", "/?b"),
        ),
        (
            "https://example.com.:8443/",
            Target(True, "example.com", 8443, "example.com:8443", "/"),
        ),
        ("http://example.com:80", Target(False, "example.com", 80, "example.com", "/")),
        ("http://example.com:443", Target(False, "example.com", 443, "example.com:443", "/")),
        ("https://[2606:4700::1]", Target(True, "2606:4700::1", 443, "[2606:4700::1]", "/")),
        (
            "https://[2606:4700::1]:81/",
            Target(True, "2606:4700::1", 81, "[2606:4700::1]:81", "/"),
        ),
        (
            "https://bücher.example/ü%2f<>",
            Target(True, "xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/%C3%BC%2f%3C%3E"),
        ),
    ],
)
def test_a_url_is_split_into_the_parts_of_a_request(url: str, target: Target) -> None:
    assert judge_url(url, LENIENT) == target


def test_http_is_accepted_only_if_the_operator_allows_it() -> None:
    url = "http://example.com:8443/"

    assert isinstance(judge_url(url, STRICT), Refusal)
    assert host_of(url, EgressPolicy(allow_http=True)) == "example.com"


def test_a_look_alike_of_http_is_never_http() -> None:
    assert isinstance(judge_url("http\u017f://example.com/", LENIENT), Refusal)


def test_port_ranges_include_both_ends() -> None:
    policy = EgressPolicy(allow_ports=((443, 443), (1024, 2000)))

    for port in (443, 1024, 1500, 2000):
        assert isinstance(judge_url(f"https://example.com:{port}/", policy), Target)
    for port in (442, 444, 1023, 2001):
        assert judge_url(f"https://example.com:{port}/", policy) == Refusal(
            f"port {port} is not allowed; allowed: 443, 1024-2000"
        )


def test_an_allowed_network_allows_only_plain_spellings_of_its_addresses() -> None:
    policy = allowing("127.0.0.0/8")

    for host in ("127.0.0.1", "localhost", "localhost.", "a.localhost"):
        assert isinstance(judge_url(f"http://{host}:8080/", policy), Target), host
    for host in (
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "127。0。0。1",
        "[::1]",
        "10.0.0.1",
        "[::ffff:127.0.0.1]",
    ):
        assert isinstance(judge_url(f"http://{host}:8080/", policy), Refusal), host


def spellings(address: IPv4Address) -> st.SearchStrategy[str]:
    """Ways to write an IPv4 address that some program somewhere understands."""
    a, b, c, d = address.packed
    number = int(address)
    written = [
        f"{a}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d}.", f"{number}", f"{number:#x}", f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{number & 0xFFFF}", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a:03}.{b:03}.{c:03}.{d:03}", f"{a}.{b}.{c}.{d:#x}",
        f"{a:#X}.{b}.{c}.0{d:o}", f"{a}。{b}。{c}。{d}", f"{a}%2e{b}.{c}.{d}",
        "".join(chr(ord(x) + 0xFEE0) for x in f"{a}.{b}.{c}.{d}"),
        "".join(chr(0x1D7CE + int(x)) if x.isdigit() else x for x in f"{a}.{b}.{c}.{d}"),
        *(f"[{embedded(form, str(address))}]" for form in INSIDE),
        f"[::ffff:{number:032x}]"[:20], f"u@{a}.{b}.{c}.{d}",
    ]  # fmt: skip
    return st.sampled_from(written)


@given(host=forbidden_v4.flatmap(spellings), scheme=st.sampled_from(["https", "HTTPS", "http"]))
def test_no_spelling_of_a_forbidden_ipv4_address_is_accepted(host: str, scheme: str) -> None:
    assert isinstance(judge_url(f"{scheme}://{host}/", LENIENT), Refusal)


@given(address=st.one_of(forbidden_v6, ipv6), upper=st.booleans(), long=st.booleans())
def test_every_spelling_of_an_ipv6_address_is_judged_like_the_address(
    address: IPv6Address, upper: bool, long: bool
) -> None:
    spelt = address.exploded if long else address.compressed

    judged = judge_url(f"https://[{spelt.upper() if upper else spelt}]/", STRICT)

    assert isinstance(judged, Refusal) == isinstance(judge_literal(address, STRICT), Refusal)


label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
name = st.builds(
    lambda labels, top: ".".join([*labels, top]),
    st.lists(label, min_size=1, max_size=4),
    st.sampled_from(["com", "org", "io", "dev", "co", "xn--p1ai", "museum"]),
)
path = st.from_regex(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]{0,20}){0,4}", fullmatch=True)
query = st.from_regex(r"(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,40})?", fullmatch=True)


@given(host=name, path=path, query=query, port=st.sampled_from(["", ":443", ":8443"]))
def test_every_ordinary_url_is_accepted_and_keeps_its_parts(
    host: str, path: str, query: str, port: str
) -> None:
    target = judge_url(f"https://{host}{port}{path}{query}", STRICT)

    assert isinstance(target, Target)
    assert target.host == host
    assert target.port == int(port[1:] or 443)
    assert target.path == (path or "/") + query


@given(address=st.one_of(ipv4, within(GLOBAL_V6)))
def test_every_public_address_is_accepted_in_a_url(address: IPv4Address | IPv6Address) -> None:
    assume(judge_literal(address, STRICT) is None)
    host = f"[{address}]" if address.version == 6 else str(address)

    assert host_of(f"https://{host}/") == str(address)


url_pieces = st.sampled_from(
    ["https://", "http://", "/", "//", ":", "@", "[", "]", "%", "%25", "?", "#", ".", "..", "\\",
     "127.0.0.1", "0x7f", "::1", "::ffff:", "443", "example.com", "xn--", "ä", "。", "①", "٣", " ",
     "\u017f", "\x00", "\ud800", "\u200b", "\u00ad", "fe80::1%eth0", "localhost", "-",
     "_", "a" * 64]
)  # fmt: skip


@given(
    url=st.one_of(st.text(), st.lists(url_pieces | st.text(max_size=3), max_size=10).map("".join)),
    beginning=st.sampled_from(["", "https://", "https://example.com"]),
)
def test_judging_a_url_never_raises_and_an_accepted_one_is_printable_ascii(
    url: str, beginning: str
) -> None:
    target = judge_url(beginning + url, LENIENT)

    if isinstance(target, Target):
        assert target.path.startswith("/")
        for part in (target.path, target.host, target.host_header):
            assert part.isascii()
            assert part.isprintable()
            assert " " not in part


def test_a_character_that_idna_maps_to_a_digit_or_dot_is_refused_in_a_host() -> None:
    for character in map(chr, range(0x80, sys.maxunicode + 1)):
        if unicodedata.category(character) in {"Lo", "Cn", "Co", "Cs"}:
            continue
        try:
            mapped = idna.uts46_remap(character, std3_rules=False)
        except (idna.IDNAError, IndexError):
            continue
        if set(mapped) & set("0123456789."):
            judged = judge_url(f"https://a{character}b.com/", STRICT)
            assert isinstance(judged, Refusal), ascii(character)
