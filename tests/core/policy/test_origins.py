"""Two URLs have one origin exactly if requests to them go to the same scheme, host and port."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.policy.origins import is_same_origin, origin_of
from daemon.core.policy.urls import Target, judge_url
from tests.core.policy.url_corpus import ACCEPTED, LENIENT

SAME = [
    ("https://example.com/", "https://example.com/path?query"),
    ("https://example.com", "HTTPS://EXAMPLE.COM:443/"),
    ("https://example.com", "https://example.com:0443"),
    ("https://example.com", "https://example.com./"),
    ("https://bücher.example", "https://BÜCHER.example:443"),
    ("https://bücher.example", "https://XN--BCHER-KVA.example."),
    ("http://example.com", "http://example.com:80"),
    ("https://[2606:4700::1111]/", "https://[2606:4700:0:0::1111]:443"),
]
DIFFERENT = [
    ("https://example.com", "http://example.com"),
    ("https://example.com", "http://example.com:443"),
    ("https://example.com", "https://example.com:8443"),
    ("https://example.com", "https://www.example.com"),
    ("https://example.com", "https://example.com.attacker.example"),
    ("https://example.com", "https://example.com@attacker.example"),
    ("https://bücher.example", "https://bucher.example"),
]
WITHOUT_ORIGIN = [
    "",
    "example.com",
    "ftp://example.com",
    "https://",
    "https://:443",
    "https://./",
    "https://example.com:",
    "https://example.com:x",
    "https://example.com:٤٤٣",
    "https://[::1",
    "https://[example]",
    "https://\ud800.example",
    "https://example.com/" + "x" * 2048,
]


@pytest.mark.parametrize(("url", "other"), SAME)
def test_spellings_of_one_origin_are_equal(url: str, other: str) -> None:
    assert is_same_origin(url, other)


@pytest.mark.parametrize(("url", "other"), DIFFERENT)
def test_another_scheme_host_or_port_is_another_origin(url: str, other: str) -> None:
    assert not is_same_origin(url, other)


@pytest.mark.parametrize("url", WITHOUT_ORIGIN)
def test_a_url_that_has_no_origin_equals_none(url: str) -> None:
    assert origin_of(url) == ""
    assert not is_same_origin(url, url)


@pytest.mark.parametrize("url", ACCEPTED)
def test_the_origin_is_where_requests_go(url: str) -> None:
    assert isinstance(judge_url(url, LENIENT), Target)
    assert_origin_is_target(url)


@given(
    st.text()
    | st.from_regex(r"https?://[A-Za-z0-9.üß_@%-]{0,12}(:[0-9a-z]{0,6})?(/.*)?", fullmatch=True)
    | st.from_regex(r"https?://\[[0-9a-f:.]{0,20}\](:[0-9]{0,6})?/", fullmatch=True)
)
def test_whatever_can_be_requested_has_the_origin_to_which_the_request_goes(url: str) -> None:
    assert_origin_is_target(url)


def assert_origin_is_target(url: str) -> None:
    target = judge_url(url, LENIENT)
    if isinstance(target, Target):
        scheme = "https" if target.tls else "http"
        host = f"[{target.host}]" if ":" in target.host else target.host
        assert origin_of(url) == f"{scheme}://{host.removesuffix('.')}:{target.port}"
