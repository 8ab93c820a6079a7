"""Only public addresses, and those in networks that the operator allows, are accepted."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.core.policy.addresses import DENIED, GLOBAL_V6, judge_address, judge_literal
from daemon.core.policy.refusal import Refusal
from tests.core.policy.url_corpus import (
    INSIDE,
    LENIENT,
    NEIGHBOURS,
    SPECIAL_PURPOSE,
    STRICT,
    allowing,
    embedded,
    forbidden_v4,
    forbidden_v6,
    ipv4,
    ipv6,
    within,
)

# In any prefix, so that an address may have this form by chance.
ISATAP = {form for form in INSIDE if form.startswith("ISATAP of") or form == "ISATAP"}


@pytest.mark.parametrize(("first", "last"), SPECIAL_PURPOSE)
def test_every_special_purpose_block_is_refused_from_its_first_to_its_last_address(
    first: str, last: str
) -> None:
    low, high = int(ip_address(first)), int(ip_address(last))
    kind = type(ip_address(first))

    for number in {low, low + 1, (low + high) // 2, high - 1, high}:
        if low <= number <= high:
            assert isinstance(judge_address(str(kind(number)), LENIENT), Refusal), kind(number)


@pytest.mark.parametrize("address", NEIGHBOURS)
def test_the_neighbours_of_special_purpose_blocks_are_public(address: str) -> None:
    assert judge_address(address, STRICT) is None


@pytest.mark.parametrize("form", INSIDE)
@pytest.mark.parametrize(
    "v4", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.1.1", "168.63.129.16", "0.0.0.2"]
)
def test_an_ipv4_address_embedded_in_an_ipv6_address_is_judged(form: str, v4: str) -> None:
    assert isinstance(judge_address(embedded(form, v4), STRICT), Refusal)
    assert judge_address(embedded(form, "93.184.216.34"), STRICT) is None


@pytest.mark.parametrize("form", INSIDE)
def test_an_allowed_network_allows_its_addresses_embedded_in_ipv6_addresses(form: str) -> None:
    policy = allowing("10.1.0.0/16")

    assert judge_address(embedded(form, "10.1.2.3"), policy) is None
    assert isinstance(judge_address(embedded(form, "10.2.0.0"), policy), Refusal)


@pytest.mark.parametrize("form", sorted(set(INSIDE) - ISATAP))
@pytest.mark.parametrize("v4", ["93.184.216.34", "10.1.2.3"])
def test_an_ipv4_address_written_as_an_ipv6_address_is_refused_whatever_it_is(
    form: str, v4: str
) -> None:
    address = ip_address(embedded(form, v4))

    assert isinstance(judge_literal(address, STRICT), Refusal)
    assert isinstance(judge_literal(address, allowing("0.0.0.0/0")), Refusal)


def test_an_ipv6_network_that_is_allowed_may_be_written_in_a_url() -> None:
    assert judge_literal(ip_address("::1"), allowing("::1/128")) is None
    assert judge_literal(ip_address("64:ff9b::a00:1"), allowing("64:ff9b::/96")) is None


@pytest.mark.parametrize("denied", ["93.184.216.34/32", "93.184.0.0/16", "0.0.0.0/0"])
def test_a_denied_network_is_refused_in_every_form_though_public_or_allowed(denied: str) -> None:
    public = replace(STRICT, deny_networks=(ip_network(denied),))
    allowed = replace(allowing("0.0.0.0/0", "::/0"), deny_networks=(ip_network(denied),))

    for address in ("93.184.216.34", *(embedded(form, "93.184.216.34") for form in INSIDE)):
        assert judge_address(address, public) == DENIED
        assert judge_address(address, allowed) == DENIED


def test_a_denied_network_denies_only_its_own_addresses() -> None:
    networks = (ip_network("93.184.216.0/24"), ip_network("2606:4700::/32"))
    policy = replace(STRICT, deny_networks=networks)

    assert judge_address("2606:4700::1", policy) == DENIED
    for address in ("93.184.215.255", "93.184.217.0", "2606:4701::", "8.8.8.8"):
        assert judge_address(address, policy) is None


@pytest.mark.parametrize(
    "address",
    [
        "2001:db8::5efe:5db8:d822",  # an embedded public address does not make the prefix public
        "3fff::5efe:5db8:d822",
        "fe80::5efe:5db8:d822",
        "fd00::200:5efe:5db8:d822",
        "2620:4f:8000::5efe:5db8:d822",
    ],
)
def test_isatap_does_not_allow_a_forbidden_prefix(address: str) -> None:
    assert isinstance(judge_address(address, STRICT), Refusal)


def test_allowing_all_of_ipv4_allows_no_other_ipv6_address() -> None:
    policy = allowing("0.0.0.0/0")

    assert judge_address("127.0.0.1", policy) is None
    assert judge_address("::ffff:127.0.0.1", policy) is None
    for address in ("::", "::1", "fe80::1", "fd00::1", "ff02::1", "2001:db8::1", "64:ff9b:1::1"):
        assert isinstance(judge_address(address, policy), Refusal), address


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["127.0.0.1", "172.16.0.1", "fd00::1"]),
        ("127.0.0.1/32", ["127.0.0.1"], ["127.0.0.2", "127.0.0.0", "::1"]),
        ("fd00::/8", ["fd00::", "fdff::1"], ["fc00::1", "fe80::1", "10.0.0.1"]),
        ("::1/128", ["::1"], ["::", "127.0.0.1", "::ffff:127.0.0.1"]),
    ],
)
def test_an_allowed_network_allows_only_its_own_addresses(
    network: str, inside: list[str], outside: list[str]
) -> None:
    policy = allowing(network)

    assert all(judge_address(address, policy) is None for address in inside)
    assert all(isinstance(judge_address(address, policy), Refusal) for address in outside)
    assert judge_address("93.184.216.34", policy) is None


@pytest.mark.parametrize(
    "address",
    ["", " ", "localhost", "1", "127.1", "0x7f.0.0.1", "0177.0.0.1", "1.2.3.4.5", "1.2.3.4/32",
     "1.2.3.4 ", "1.2.3.4:80", "[2606:4700::1]", "2606:4700::1%2", "fe80::1%lo", "::1%", ":::",
     "\u0661.1.1.1", "\uff11.1.1.1", "8.8.8.8\n", "8.8.8.8\x00", "\ud800"],
)  # fmt: skip
def test_text_that_is_not_a_plain_address_is_refused(address: str) -> None:
    assert isinstance(judge_address(address, allowing("0.0.0.0/0", "::/0")), Refusal)


@given(address=st.one_of(forbidden_v4, forbidden_v6))
def test_every_address_of_a_forbidden_block_is_refused(address: IPv4Address | IPv6Address) -> None:
    assert isinstance(judge_address(str(address), STRICT), Refusal)


@given(address=ipv6)
def test_outside_global_unicast_only_translated_addresses_are_accepted(
    address: IPv6Address,
) -> None:
    assume(address not in GLOBAL_V6)

    if judge_address(str(address), STRICT) is None:
        assert (int(address) >> 32) in (0xFFFF, 0, 0xFFFF << 16, 0x0064_FF9B << 64)


@given(address=ipv4)
def test_ipv4_rules_are_at_least_as_strict_as_the_standard_library(address: IPv4Address) -> None:
    if judge_address(str(address), STRICT) is None:
        assert address.is_global
        assert not address.is_multicast


@given(address=within(GLOBAL_V6))
def test_ipv6_rules_are_at_least_as_strict_as_the_standard_library(
    address: IPv4Address | IPv6Address,
) -> None:
    assert isinstance(address, IPv6Address)
    if judge_address(str(address), STRICT) is None:
        assert address.is_global or address.sixtofour or address.teredo


@given(
    address=st.one_of(ipv4, ipv6, forbidden_v4, forbidden_v6),
    network=st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "2001:db8::/32"]),
)
def test_allowing_a_network_refuses_no_public_address(
    address: IPv4Address | IPv6Address, network: str
) -> None:
    if judge_address(str(address), STRICT) is None:
        assert judge_address(str(address), allowing(network)) is None


@given(text=st.text())
def test_judging_an_address_never_raises(text: str) -> None:
    reason = judge_address(text, STRICT)

    assert reason is None or isinstance(reason, Refusal)
