"""The key of a host: one for all names at the same address."""

from daemon.egress.host_key import host_key


def test_the_order_of_addresses_does_not_matter() -> None:
    assert host_key(["192.0.2.2", "192.0.2.1"]) == host_key(["192.0.2.1", "192.0.2.2"])


def test_an_ipv4_address_comes_before_those_of_ipv6() -> None:
    assert host_key(["2001:db8::1", "192.0.2.1"]) == "192.0.2.1"


def test_addresses_of_one_ipv6_network_are_one_host() -> None:
    assert host_key(["2001:db8::1"]) == host_key(["2001:db8::ffff:1"]) == "2001:db8::/64"


def test_without_addresses_there_is_no_key() -> None:
    assert host_key([]) is None
