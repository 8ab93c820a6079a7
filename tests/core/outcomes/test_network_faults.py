"""Whose fault an unreachable address is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.outcomes.network_faults import (
    Evidence,
    Network,
    Route,
    network_of,
    network_of_family,
    network_of_host,
    network_of_lookups,
)

routes = st.lists(st.sampled_from(Route), max_size=6)
networks = st.lists(st.sampled_from(Network), max_size=6)
evidence = st.builds(Evidence, st.sampled_from(Route), routes, st.booleans())


@given(evidence)
def test_an_address_with_a_route_is_never_our_fault(evidence: Evidence) -> None:
    if evidence.now is not Route.NONE:
        assert network_of(evidence) is Network.WORKS


@given(evidence)
def test_it_is_our_fault_only_if_something_worked_before(evidence: Evidence) -> None:
    if network_of(evidence) is Network.LOST:
        assert evidence.now is Route.NONE
        assert evidence.reached_before or Route.NONE in evidence.known


@given(evidence)
def test_an_address_never_reached_is_not_excused_while_others_have_a_route(
    evidence: Evidence,
) -> None:
    if Route.REMOTE in evidence.known and not evidence.reached_before:
        assert network_of(evidence) is Network.WORKS


@given(routes)
def test_loopback_proves_nothing(known: list[Route]) -> None:
    assert network_of_family(known) is network_of_family([*known, Route.LOCAL])


@pytest.mark.parametrize("known", [(), (Route.LOCAL,)])
def test_a_family_that_was_never_there(known: tuple[Route, ...]) -> None:
    assert network_of(Evidence(Route.NONE, known)) is Network.NEVER_THERE


@given(networks)
def test_a_host_is_lost_with_any_of_its_addresses_and_never_there_with_all(
    addresses: list[Network],
) -> None:
    network = network_of_host(addresses)

    assert (network is Network.LOST) == (Network.LOST in addresses)
    if network is Network.NEVER_THERE:
        assert set(addresses) == {Network.NEVER_THERE}
    if Network.WORKS in addresses:
        assert network is not Network.NEVER_THERE


@given(networks)
def test_a_lookup_needs_one_family_only(families: list[Network]) -> None:
    if Network.WORKS in families or Network.LOST not in families:
        assert network_of_lookups(families) is Network.WORKS
    else:
        assert network_of_lookups(families) is Network.LOST
