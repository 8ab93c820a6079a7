"""
Knowledge of our own network: where this process had a route before, and where it has one now.

Rule: a receiver cannot influence any of it. Only the kernel's routes count, and no answer of the
network, which could be forged.
"""

import asyncio
from collections.abc import Callable, Sequence

from daemon.core.errors import PostponedError
from daemon.core.outcomes.network_faults import (
    Evidence,
    Network,
    Route,
    network_of,
    network_of_family,
    network_of_host,
    network_of_lookups,
)
from daemon.egress.routes import SOMEWHERE, SocketAddress, default_route, route_to

MAX_REACHED = 4


class NetworkLostError(PostponedError):
    """A network of ours, which worked before, is down."""


class NoSuchNetworkError(Exception):
    """This machine never had a network for the host's addresses; `str()` names their family."""


class OwnNetwork:
    """Remembers what was reached; `route_to` and `default_route` find the present routes."""

    def __init__(
        self,
        *,
        route_to: Callable[[SocketAddress], Route] = route_to,
        default_route: Callable[[str], Route] = default_route,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._route_to = route_to
        self._default_route = default_route
        # The destinations reached last, the latest at the end: a dictionary as an ordered set.
        self._reached: dict[str, dict[SocketAddress, None]] = {family: {} for family in SOMEWHERE}
        self._had_default_route: set[str] = set()
        self._lost_at = dict.fromkeys(SOMEWHERE, float("-inf"))
        for family in SOMEWHERE:
            self._note_default_route(family)

    def reached(self, destination: SocketAddress) -> None:
        """Note that a connection was established."""
        reached = self._reached[_family(destination)]
        reached.pop(destination, None)
        reached[destination] = None
        if len(reached) > MAX_REACHED:
            del reached[next(iter(reached))]

    def check(self, tried: Sequence[SocketAddress], *, since: float) -> None:
        """
        Raise an error if our own network explains why there is no response.

        `tried` are the destinations of a request that began at `since`, a time of the loop's clock;
        none if the lookup failed. Raises NetworkLostError; or NoSuchNetworkError, which is no
        excuse.
        """
        network = self._network(tried)
        families = {_family(destination) for destination in tried} or SOMEWHERE.keys()
        if network is Network.LOST:
            self._lost_at.update(dict.fromkeys(families, self._loop.time()))
        # TCP repeats lost packets ever more rarely: what began during an outage may outlast it.
        if any(since <= self._lost_at[family] for family in families):
            raise NetworkLostError("a network of this machine is down")
        if network is Network.NEVER_THERE:
            raise NoSuchNetworkError(" and ".join(sorted(families)))

    def _network(self, tried: Sequence[SocketAddress]) -> Network:
        if not tried:
            return network_of_lookups(
                [network_of_family(self._known_routes(family)) for family in SOMEWHERE]
            )
        return network_of_host([network_of(self._evidence(destination)) for destination in tried])

    def _evidence(self, destination: SocketAddress) -> Evidence:
        family, now = _family(destination), self._route_to(destination)
        if now is not Route.NONE:
            return Evidence(now)
        return Evidence(now, self._known_routes(family), destination in self._reached[family])

    def _known_routes(self, family: str) -> list[Route]:
        """
        Return the present routes to what had one before.

        One remote route decides: no more are looked for then.
        """
        routes: list[Route] = []
        default_route = self._note_default_route(family)
        if family in self._had_default_route:
            routes.append(default_route)
        for destination in self._reached[family]:
            if Route.REMOTE in routes:
                break
            routes.append(self._route_to(destination))
        return routes

    def _note_default_route(self, family: str) -> Route:
        route = self._default_route(family)
        if route is Route.REMOTE:
            self._had_default_route.add(family)
        return route


def _family(destination: SocketAddress) -> str:
    return "IPv6" if ":" in destination[0] else "IPv4"
