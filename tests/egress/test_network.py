"""
A network of ours that is down counts against no endpoint; one host that is unreachable does.

The outages are real ones, of links and routes in network namespaces.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from daemon.core.outcomes.network_faults import Route
from daemon.egress.network import NetworkLostError, OwnNetwork
from daemon.egress.response_reader import NO_RESPONSE
from tests.faults.report import errors_logged
from tests.namespace import runner
from tests.namespace.outage import FAR, NAME, NEIGHBOUR, SIX, UNROUTED
from tests.support.postgres import folder_for_postgres

DOWN = "postponed: a network of this machine is down"
NO_IPV6 = "could not connect: this service cannot reach IPv6 addresses"
NO_ROUTE = "could not connect: no route to host"
CONFIGURATION = """
[delivery]
timeout = "1s"
[egress]
allow_http = true
allow_ports = ["1-65535"]
[log]
format = "json"
level = "warning"
"""


def run_outage(folder: Path, **variables: str) -> Any:
    """Run the scenario in new namespaces, or skip the test where that is impossible."""
    if reason := runner.missing_requirement():
        pytest.skip(reason)
    process = runner.run_inside(
        *(sys.executable, "-m", "tests.namespace.outage", str(folder)), env=variables
    )
    assert process.returncode == 0, process.stderr
    return orjson.loads((folder / "result.json").read_bytes())


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, dict[str, str]]]:
    """What came of each request, by step and host."""
    with folder_for_postgres() as folder:
        yield run_outage(folder)


@pytest.mark.parametrize(
    ("step", "host", "expected"),
    [
        ("no default route", FAR, DOWN),
        ("no default route", NAME, DOWN),
        ("the gateway is dead", FAR, DOWN),
        ("no carrier", FAR, DOWN),
        ("no carrier", NEIGHBOUR, DOWN),
        ("the interface is down", FAR, DOWN),
    ],
)
def test_an_outage_of_our_own_postpones(
    found: dict[str, dict[str, str]], step: str, host: str, expected: str
) -> None:
    assert found[step][host] == expected


@pytest.mark.parametrize("step", ["all works", "the route is back"])
def test_an_absent_host_is_a_failure_while_our_network_works(
    found: dict[str, dict[str, str]], step: str
) -> None:
    # Seldom, on a busy machine, the loop says first that the connection was lost: a failure, too.
    assert found[step][NEIGHBOUR] in (NO_ROUTE, NO_RESPONSE)


@pytest.mark.parametrize("step", ["one host has no route", "the route is back"])
def test_an_address_without_a_route_is_a_failure_while_others_have_one(
    found: dict[str, dict[str, str]], step: str
) -> None:
    assert found[step][UNROUTED] == NO_ROUTE


@pytest.mark.parametrize("step", ["all works", "no default route"])
def test_a_family_that_this_machine_never_had_is_a_failure_that_says_so(
    found: dict[str, dict[str, str]], step: str
) -> None:
    assert found[step][f"[{SIX}]"] == NO_IPV6


@pytest.mark.full
def test_a_daemon_delivers_after_an_outage_without_a_failure(database: str) -> None:
    url = runner.unix_socket_url(database)
    if url is None:
        pytest.skip("PostgreSQL accepts no connections on a UNIX socket of this machine")
    with folder_for_postgres() as folder:
        (folder / "config.toml").write_text(CONFIGURATION)
        outage = run_outage(folder, WEBHOOKD_DATABASE__URL=url, HOME=str(folder))
        errors = errors_logged(folder / "daemon.log")

    assert outage["during"] == ["pending_retry"] * 3 + ["success"]
    assert outage["failures"] == 0
    assert "a network of this machine is down" in outage["log"]
    assert errors == []


async def test_a_request_that_began_during_an_outage_may_end_after_it() -> None:
    """TCP waits seconds between its repetitions: the end of the outage is not its end."""
    loop, route = asyncio.get_running_loop(), Route.REMOTE
    network = OwnNetwork(route_to=lambda _: route, default_route=lambda _: route)
    began_at = loop.time()
    route = Route.NONE
    with pytest.raises(NetworkLostError):
        network.check([("192.0.2.1", 443)], since=began_at)
    route = Route.REMOTE

    with pytest.raises(NetworkLostError):
        network.check([("192.0.2.2", 443)], since=began_at)
    network.check([("192.0.2.2", 443)], since=loop.time() + 1)  # a later one
    network.check([("2001:db8::1", 443)], since=began_at)  # the other family


async def test_a_route_to_what_was_reached_counts_without_a_default_route() -> None:
    lost: set[str] = set()
    network = OwnNetwork(
        route_to=lambda destination: Route.NONE if destination[0] in lost else Route.REMOTE,
        default_route=lambda _: Route.NONE,
    )
    for number in range(6):
        network.reached((f"10.0.0.{number}", 443))
    lost |= {"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}

    with pytest.raises(NetworkLostError):
        network.check([("10.0.0.5", 443)], since=asyncio.get_running_loop().time())
