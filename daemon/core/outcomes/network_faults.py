"""
Whose fault an unreachable address is: its own, or that of a network of ours which is down.

Ours is what worked before and now works for no endpoint. A family that this machine never had, and
an address without a route while others have one, are the endpoint's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Route(Enum):
    """The present route to an address; one through a dead interface or gateway is NONE."""

    NONE = auto()
    LOCAL = auto()  # the address is this machine's own
    REMOTE = auto()


class Network(Enum):
    """The state of our network, as far as an address needs it."""

    WORKS = auto()
    LOST = auto()
    NEVER_THERE = auto()


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    The routes that concern one address.

    `now` is its own. `known` are the present ones of addresses of its family that had a route
    before; `reached_before` says that it is one of them.
    """

    now: Route
    known: Sequence[Route] = ()
    reached_before: bool = False


def network_of(evidence: Evidence) -> Network:
    """Return the state of our network for one address."""
    if evidence.now is not Route.NONE:
        return Network.WORKS
    if evidence.reached_before:
        return Network.LOST
    return network_of_family(evidence.known)


def network_of_family(known: Sequence[Route]) -> Network:
    """
    Return the state of a family from the present routes of addresses that had one before.

    Loopback works without a network, and proves nothing.
    """
    if Route.REMOTE in known:
        return Network.WORKS
    return Network.LOST if Route.NONE in known else Network.NEVER_THERE


def network_of_host(addresses: Sequence[Network]) -> Network:
    """
    Combine the states for all addresses of a host.

    An address that is lost might have been the one to answer.
    """
    if Network.LOST in addresses:
        return Network.LOST
    never_there = bool(addresses) and set(addresses) == {Network.NEVER_THERE}
    return Network.NEVER_THERE if never_there else Network.WORKS


def network_of_lookups(families: Sequence[Network]) -> Network:
    """Combine the states of both families for lookups, which either of them can carry."""
    if Network.LOST in families and Network.WORKS not in families:
        return Network.LOST
    return Network.WORKS
