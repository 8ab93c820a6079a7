"""Every rule for customers' text takes time in proportion to its length, whatever the text is."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.headers import judge_headers
from daemon.core.policy.hosts import domain_name, judge_host
from daemon.core.policy.origins import origin_of
from daemon.core.policy.urls import LONGEST_URL, judge_url
from tests.support.hang import at_most_cpu_seconds
from tests.support.long_texts import long_texts

POLICY = EgressPolicy()
LONG = long_texts()
# Within the bound of a URL: the host gets the whole text.
LONG_HOSTS = long_texts(LONGEST_URL - 100)


def _address(text: str) -> None:
    with suppress(ValueError):
        parse_address(text)


JUDGES: dict[str, Callable[[str], object]] = {
    "an email address": _address,
    "an email address's domain": lambda text: _address(f"ops@{text}"),
    "an email address's name": lambda text: _address(f"{text} <ops@example.com>"),
    "a URL": lambda text: judge_url(text, POLICY),
    "a URL's host": lambda text: judge_url(f"https://{text}/", POLICY),
    "a URL's port": lambda text: judge_url(f"https://a.example:{text}/", POLICY),
    "a URL's path": lambda text: judge_url(f"https://a.example/{text}", POLICY),
    "a host": lambda text: judge_host(text, POLICY),
    "a name": domain_name,
    "an origin": origin_of,
    "an origin's host": lambda text: origin_of(f"https://{text}/"),
    "a header's name": lambda text: judge_headers({text: "x"}),
    "a header's value": lambda text: judge_headers({"X-A": text}),
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
@pytest.mark.parametrize("texts", [LONG, LONG_HOSTS], ids=["body", "URL"])
def test_a_long_text_is_judged_at_once(
    judge: Callable[[str], object], texts: dict[str, str]
) -> None:
    with at_most_cpu_seconds(20):  # for all; a quadratic one takes minutes alone
        for text in texts.values():
            judge(text)


def international_hosts() -> Iterator[str]:
    """Hosts of the greatest length that a name may have, in as many different characters."""
    for length in (20, 40, 60, 120, 250):
        for first in (0x4E00, 0xAC00, 0x0561):
            label = "".join(chr(first + n % 40 * 7) for n in range(length))
            yield ".".join([label] * (250 // length))


def test_the_longest_international_names_are_judged_at_once() -> None:
    with at_most_cpu_seconds(20):
        for host in international_hosts():
            judge_url(f"https://{host}/", POLICY)
            origin_of(f"https://{host}/")
            _address(f"ops@{host}")
