"""Routes as Linux writes them in /proc/net."""

import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from daemon.egress import routing_table
from daemon.egress.routing_table import is_dead, table_route_to

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the samples are little-endian")

IPV4 = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth1\t00000000\t020200C0\t0003\t0\t0\t50\t00000000\t0\t0\t0
eth2\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
*\t0001000A\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth3\t0002000A\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
NONE_6 = f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
DEFAULT_6 = (
    f"{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 27}1 00000400 00000001 00000000 00000003 eth0\n"
)
NEIGHBOURS = """\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:00:00:00:00:01     *        eth0
192.0.2.2        0x1         0x0         00:00:00:00:00:00     *        eth0
"""


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the tables."""
    for name, text in (
        ("IPV4_ROUTES", IPV4),
        ("IPV6_ROUTES", DEFAULT_6 + NONE_6),
        ("NEIGHBOURS", NEIGHBOURS),
    ):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(routing_table, name, str(tmp_path / name))
    return tmp_path


@pytest.mark.parametrize(
    ("address", "interface", "gateway", "rejects"),
    [
        ("198.51.100.1", "eth1", "192.0.2.2", False),  # of two default routes the lower metric
        ("10.9.9.9", "eth2", None, False),
        ("10.0.1.1", "*", None, True),
        ("10.0.2.1", "eth2", None, False),  # eth3's route is not up
    ],
)
def test_the_longest_prefix_decides_and_then_the_metric(
    address: str, interface: str, gateway: str | None, rejects: bool
) -> None:
    route = table_route_to(IPv4Address(address))

    assert route is not None
    assert (route.interface, route.rejects) == (interface, rejects)
    assert route.gateway == (gateway and IPv4Address(gateway))


def test_a_default_route_of_ipv6() -> None:
    route = table_route_to(IPv6Address("2606::1"))

    assert route is not None
    assert (route.interface, route.rejects) == ("eth0", False)


def test_the_entry_that_says_that_ipv6_has_no_route_is_none(tables: Path) -> None:
    (tables / "IPV6_ROUTES").write_text(NONE_6)

    assert table_route_to(IPv6Address("2606::1")) is None


def test_a_gateway_is_dead_when_it_was_asked_in_vain() -> None:
    dead = [number for number in range(1, 4) if is_dead(IPv4Address(f"192.0.2.{number}"))]

    assert dead == [2]


def test_a_table_that_is_absent_or_very_long_tells_nothing(
    tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing_table, "MAX_CHARACTERS", len(IPV4) - 1)
    (tables / "IPV6_ROUTES").unlink()

    assert table_route_to(IPv4Address("198.51.100.1")) is None
    assert table_route_to(IPv6Address("2606::1")) is None
