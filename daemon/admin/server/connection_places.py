"""
Which connections may stay when the admin port is full.

A new connection takes the place of the one that has been idle longest. Some places are reserved
for probes: connections that have asked for nothing but health and metrics. A connection with a
request under way is never evicted, with one exception: strangers, who sent no genuine token or
session, may be any number, and let their requests wait. They use the places that nobody else needs.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass

MAX_CONNECTIONS = 512
PROBE_PLACES = 32  # of them, that other connections cannot use for requests
# Once so many connections are open, one peer may have MAX_PER_PEER idle ones. Once so many are not
# probes, it may have MAX_PER_PEER of these.
NEARLY_FULL = 384
MAX_PER_PEER = 128


@dataclass(eq=False, slots=True)
class Place:
    """
    The place of one connection.

    The bound per peer counts `peer`; None is exempt. `evict` ends the connection.
    """

    peer: Hashable
    evict: Callable[[], None]
    is_probe: bool = False
    has_sent: bool = False  # anything since it became idle


class ConnectionPlaces:
    """All open connections: which are idle, and which have been used for other than probes."""

    def __init__(self) -> None:
        self._open: set[Place] = set()
        self._idle: dict[Place, None] = {}  # the longest idle first
        self._general: set[Place] = set()
        # With a stranger's request under way, the longest first; with the stranger.
        self._strangers: dict[Place, Hashable] = {}

    def open(self, place: Place) -> bool:
        """Add a new connection, which is idle; return False if there is no place for it."""
        own = _of_peer(place, self._idle)
        if _is_bounded(place, self._open, own):
            self._evict_first(own)
        elif len(self._open) >= MAX_CONNECTIONS and not self._evict_any_idle():
            return False
        self._open.add(place)
        self._idle[place] = None
        return True

    def receive(self, place: Place) -> None:
        """
        Note that data has arrived: a request begins, so that others are evicted first.

        This counts once per request, so that no client stays by sending a byte now and then.
        """
        if place in self._idle and not place.has_sent:
            place.has_sent = True
            del self._idle[place]
            self._idle[place] = None  # at the end

    def begin(self, place: Place, *, is_probe: bool, stranger: Hashable | None = None) -> bool:
        """
        Note that a request is under way; return False if there is no place for it.

        `stranger` is the client of a request without a genuine token or session.
        """
        if place not in self._open:
            return False
        if is_probe:
            place.is_probe = place not in self._general
        elif place not in self._general:
            if not self._make_general_room(place, stranger):
                return False
            self._general.add(place)
            place.is_probe = False
        self._idle.pop(place, None)
        if stranger is not None and not is_probe:
            self._strangers[place] = stranger
        return True

    def end(self, place: Place) -> None:
        """Note that no request is under way any more."""
        self._strangers.pop(place, None)
        if place in self._open and place not in self._idle:
            self._idle[place] = None
            place.has_sent = False

    def close(self, place: Place) -> None:
        """Remove a connection."""
        self._open.discard(place)
        self._idle.pop(place, None)
        self._general.discard(place)
        self._strangers.pop(place, None)

    def _make_general_room(self, place: Place, stranger: Hashable | None) -> bool:
        own = _of_peer(place, self._general)
        if _is_bounded(place, self._general, own):
            return self._evict_first(own) or self._evict_stranger(own, stranger)
        if len(self._general) >= MAX_CONNECTIONS - PROBE_PLACES:
            return self._evict_first(self._general) or self._evict_stranger(self._general, stranger)
        return True

    def _evict_stranger(self, candidates: Collection[Place], newcomer: Hashable | None) -> bool:
        """
        End the longest request of the stranger with most of them.

        Returns False if there is none, or if the newcomer is a stranger that has as many.
        """
        busy = {each: owner for each, owner in self._strangers.items() if each in candidates}
        counts = Counter(busy.values())
        most = max(counts.values(), default=0)
        if most <= (0 if newcomer is None else counts[newcomer]):
            return False
        longest = next(each for each, owner in busy.items() if counts[owner] == most)
        self.close(longest)
        longest.evict()
        return True

    def _evict_any_idle(self) -> bool:
        """Probes stay as long as they need no more than their own places."""
        probes = {each for each in self._idle if each.is_probe}
        others = self._idle.keys() - probes
        return self._evict_first(others if others and len(probes) <= PROBE_PLACES else probes)

    def _evict_first(self, candidates: Collection[Place]) -> bool:
        """Evict the candidate that has been idle longest; return False if none is idle."""
        longest_idle = next((each for each in self._idle if each in candidates), None)
        if longest_idle is None:
            return False
        self.close(longest_idle)
        longest_idle.evict()
        return True


def _of_peer(place: Place, places: Collection[Place]) -> set[Place]:
    return {each for each in places if each.peer == place.peer}


def _is_bounded(place: Place, everyone: Collection[Place], own: Collection[Place]) -> bool:
    """Whether the peer has its share of the places, and few are left for others."""
    return place.peer is not None and len(everyone) >= NEARLY_FULL and len(own) >= MAX_PER_PEER
