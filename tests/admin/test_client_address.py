"""The address of the client of a request, behind proxies."""

from ipaddress import ip_address, ip_network

import pytest

from daemon.admin.api.client_address import TrustedProxies, network_of

PROXIES = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.5"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("::ffff:10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("fd00::1", ["2001:db8::5"], "2001:db8::5"),
        ("fd00::1", ["[2001:db8::5]"], "2001:db8::5"),
        ("fd00::1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("10.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("10.0.0.1", ["198.51.100.7, 203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["198.51.100.7", "203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5, 10.0.0.2", "fd00::2,10.0.0.3"], "203.0.113.5"),
        ("10.0.0.1", ["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5, "], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5, _hidden"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5, 10.0.0.2, 1.2.3"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5 10.0.0.2"], "10.0.0.1"),
        ("10.0.0.1", ["garbage, 203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5:99999:1"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5" + ", 10.0.0.2" * 15], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5" + ", 10.0.0.2" * 5000], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(
    peer: str, forwarded_for: list[str], client: str
) -> None:
    assert PROXIES.client_of(peer, forwarded_for) == ip_address(client)


def test_a_connection_without_an_address_has_no_client() -> None:
    assert PROXIES.client_of(None, ["203.0.113.5"]) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.5", "203.0.113.5/32"),
        ("::ffff:203.0.113.5", "203.0.113.5/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_ipv6_clients_are_known_by_their_network(address: str, network: str) -> None:
    assert network_of(ip_address(address)) == ip_network(network)
