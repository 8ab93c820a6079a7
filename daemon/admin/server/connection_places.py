"""
Which connections may stay when the admin port is full.

A new connection takes the place of the one that has been idle longest. Some places are reserved
for probes: connections that have asked for nothing but health and metrics. A connection with a
request under way is evicted only for another caller who has fewer, and would have no place. Those
of strangers go first: without a genuine token or session, they may be any number.
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


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: a known caller, or a stranger from there."""

    key: Hashable
    is_known: bool


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
        # With a request under way, the longest first; with its caller.
        self._busy: dict[Place, Caller] = {}

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

    def begin(self, place: Place, *, is_probe: bool, caller: Caller) -> bool:
        """Note that a request is under way; return False if there is no place for it."""
        if place not in self._open:
            return False
        if is_probe:
            place.is_probe = place not in self._general
        elif place not in self._general:
            if not self._make_general_room(place, caller):
                return False
            self._general.add(place)
            place.is_probe = False
        self._idle.pop(place, None)
        if not is_probe:
            self._busy[place] = caller
        return True

    def end(self, place: Place) -> None:
        """Note that no request is under way any more."""
        self._busy.pop(place, None)
        if place in self._open and place not in self._idle:
            self._idle[place] = None
            place.has_sent = False

    def close(self, place: Place) -> None:
        """Remove a connection."""
        self._open.discard(place)
        self._idle.pop(place, None)
        self._general.discard(place)
        self._busy.pop(place, None)

    def _make_general_room(self, place: Place, caller: Caller) -> bool:
        own = _of_peer(place, self._general)
        if _is_bounded(place, self._general, own):
            return self._evict_first(own) or self._evict_busy(own, caller)
        if len(self._general) >= MAX_CONNECTIONS - PROBE_PLACES:
            return self._evict_first(self._general) or self._evict_busy(self._general, caller)
        return True

    def _evict_busy(self, candidates: Collection[Place], newcomer: Caller) -> bool:
        """
        End the longest request of the caller with most of them, a stranger if there is one.

        Returns False if that is the newcomer, if it has no more than the newcomer would have, or if
        it is known and the newcomer is not.
        """
        counts = Counter(caller for place, caller in self._busy.items() if place in candidates)
        strangers = [each for each in counts if not each.is_known]
        crowd = strangers or (list(counts) if newcomer.is_known else [])
        most = max(crowd, key=counts.__getitem__, default=newcomer)
        is_favoured = newcomer.is_known and not most.is_known
        fair = counts[newcomer] + most.is_known  # known callers with one each leave none to another
        if most == newcomer or (not is_favoured and counts[most] <= fair):
            return False
        busy = self._busy.items()
        longest = next(each for each, caller in busy if caller == most and each in candidates)
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
