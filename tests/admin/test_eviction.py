"""Which connection makes room: the choice alone, without sockets."""

from collections.abc import Hashable

import pytest

from daemon.admin.server import connection_places
from daemon.admin.server.connection_places import Caller, ConnectionPlaces, Place

KNOWN = Caller("tenant", is_known=True)


class Connections:
    """Connections to a server with ten places, two of them for probes."""

    def __init__(self) -> None:
        self.places = ConnectionPlaces()
        self.evicted: list[Place] = []

    def connect(self, peer: Hashable = "a peer") -> Place:
        place = Place(peer, lambda: self.evicted.append(place))
        assert self.places.open(place)
        return place

    def used(self, peer: Hashable = "a peer", *, is_probe: bool = False) -> Place:
        """A connection that has had an answer."""
        place = self.connect(peer)
        assert self.places.begin(place, is_probe=is_probe, caller=KNOWN)
        self.places.end(place)
        return place

    def busy(
        self,
        peer: Hashable = "a peer",
        *,
        stranger: Hashable | None = None,
        known: Hashable = KNOWN.key,
    ) -> Place:
        """A connection with a request under way, of someone known or of a stranger."""
        place = self.connect(peer)
        caller = Caller(known, is_known=True)
        if stranger is not None:
            caller = Caller(stranger, is_known=False)
        assert self.places.begin(place, is_probe=False, caller=caller)
        return place


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    monkeypatch.setattr(connection_places, "MAX_CONNECTIONS", 10)
    monkeypatch.setattr(connection_places, "PROBE_PLACES", 2)
    monkeypatch.setattr(connection_places, "NEARLY_FULL", 10)  # that is, no bound per peer
    return Connections()


def test_nothing_is_evicted_while_there_is_room(connections: Connections) -> None:
    for _ in range(10):
        connections.connect()

    assert connections.evicted == []


def test_the_longest_idle_is_evicted_first(connections: Connections) -> None:
    first, second, *_ = [connections.connect(number) for number in range(10)]
    connections.places.begin(first, is_probe=False, caller=KNOWN)
    connections.places.end(first)

    connections.connect("another")

    assert connections.evicted == [second]


def test_a_connection_that_begins_to_send_is_spared_once(connections: Connections) -> None:
    first, second, third, *_ = [connections.connect(number) for number in range(10)]
    connections.places.receive(first)
    connections.connect("another")
    assert connections.evicted == [second]

    for number in range(9):
        connections.places.receive(first)
        connections.connect(number)

    assert connections.evicted[1] == third
    assert first in connections.evicted


def test_idle_probes_stay_while_they_need_no_more_than_their_places(
    connections: Connections,
) -> None:
    probes = [connections.used(is_probe=True) for _ in range(2)]
    for number in range(50):
        connections.used(number)
    assert not {*probes} & {*connections.evicted}

    connections.evicted.clear()
    more = [connections.used(number, is_probe=True) for number in range(9)]

    assert {*probes} <= {*connections.evicted}
    assert more[-1] not in connections.evicted


def test_busy_connections_leave_the_places_of_probes_free(connections: Connections) -> None:
    busy = [connections.busy(number) for number in range(8)]
    newcomer = connections.connect("newcomer")

    refused = connections.places.begin(newcomer, is_probe=False, caller=KNOWN)
    served = connections.places.begin(newcomer, is_probe=True, caller=KNOWN)

    assert (refused, served) == (False, True)
    assert not {*busy} & {*connections.evicted}


def test_a_connection_is_refused_when_no_other_is_idle(connections: Connections) -> None:
    for number in range(8):
        connections.busy(number)
    for _ in range(2):
        assert connections.places.begin(connections.connect(), is_probe=True, caller=KNOWN)

    assert not connections.places.open(Place("another", connections.evicted.clear))


def test_an_evicted_connection_cannot_begin_a_request(connections: Connections) -> None:
    first, *_ = [connections.connect() for _ in range(11)]

    assert connections.evicted == [first]
    assert not connections.places.begin(first, is_probe=False, caller=KNOWN)
    assert not connections.places.begin(first, is_probe=True, caller=KNOWN)


def test_the_place_of_a_closed_connection_is_free(connections: Connections) -> None:
    for _ in range(50):
        connections.places.close(connections.busy())

    assert connections.evicted == []


def test_a_peer_beyond_its_bound_evicts_its_own_connections(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_places, "NEARLY_FULL", 6)
    monkeypatch.setattr(connection_places, "MAX_PER_PEER", 3)
    other = connections.used("another")
    for _ in range(50):
        connections.used("greedy")

    assert other not in connections.evicted
    assert len(connections.evicted) == 45


def test_a_peer_without_a_bound_uses_all_places(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_places, "NEARLY_FULL", 1)
    monkeypatch.setattr(connection_places, "MAX_PER_PEER", 1)
    for _ in range(8):
        connections.busy(None)

    assert connections.evicted == []


def test_strangers_whose_requests_wait_leave_places_for_those_who_are_known(
    connections: Connections,
) -> None:
    known = [connections.busy() for _ in range(2)]
    waiting = [connections.busy(stranger=stranger) for stranger in "abbbcc"]

    known += [connections.busy() for _ in range(6)]

    assert not {*known} & {*connections.evicted}
    # Of the one with most first; of those with as many, the longest.
    assert connections.evicted == [waiting[at] for at in (1, 2, 4, 0, 3, 5)]
    newcomer = connections.connect()
    assert not connections.places.begin(newcomer, is_probe=False, caller=KNOWN)


def test_a_stranger_has_a_place_beside_others_with_more(connections: Connections) -> None:
    first, *_ = [connections.busy(stranger="greedy") for _ in range(8)]

    connections.busy(stranger="another")
    newcomer = connections.connect()

    assert connections.evicted == [first]
    assert not connections.places.begin(
        newcomer, is_probe=False, caller=Caller("greedy", is_known=False)
    )


def test_strangers_never_take_the_place_of_those_who_are_known(connections: Connections) -> None:
    for _ in range(8):
        connections.busy()
    newcomer = connections.connect()

    assert not connections.places.begin(
        newcomer, is_probe=False, caller=Caller("a stranger", is_known=False)
    )
    assert connections.evicted == []


def test_a_known_caller_with_most_requests_makes_room_for_others_with_fewer(
    connections: Connections,
) -> None:
    waiting = [connections.busy(known="greedy") for _ in range(8)]

    for _ in range(4):
        connections.busy(known="another")

    assert connections.evicted == waiting[:4]
    for caller in ("greedy", "another"):
        newcomer = connections.connect()
        known = Caller(caller, is_known=True)
        assert not connections.places.begin(newcomer, is_probe=False, caller=known)


def test_known_callers_with_a_request_each_keep_their_places(connections: Connections) -> None:
    for number in range(8):
        connections.busy(known=number)
    newcomer = connections.connect()

    assert not connections.places.begin(
        newcomer, is_probe=False, caller=Caller("another", is_known=True)
    )
    assert connections.evicted == []


def test_a_stranger_whose_request_ended_is_idle_like_others(connections: Connections) -> None:
    waiting = [connections.busy(stranger="a stranger") for _ in range(8)]
    connections.places.end(waiting[5])

    connections.busy()

    assert connections.evicted == [waiting[5]]


def test_one_who_is_known_evicts_strangers_of_its_own_peer(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_places, "NEARLY_FULL", 6)
    monkeypatch.setattr(connection_places, "MAX_PER_PEER", 3)
    waiting = [connections.busy("one house", stranger="one house") for _ in range(3)]
    others = [connections.busy(number) for number in range(3)]

    connections.busy("one house")

    assert connections.evicted == waiting[:1]
    assert not {*others} & {*connections.evicted}
