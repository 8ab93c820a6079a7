"""A replay takes what is left over, and passes every candidate once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.scheduling.replay_pace import (
    FIRST_REST,
    LONGEST_REST,
    MOST_AT_ONCE,
    MOST_OUTSTANDING,
    MOST_READ,
    Candidate,
    Outstanding,
    Pace,
    Piece,
    Position,
    piece_of,
)

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
IDLE = Outstanding(pending=0, waiting=0, oldest=None)


def candidate(number: int) -> Candidate:
    """Several share one time, as events of one transaction do."""
    at = EPOCH + timedelta(seconds=number // 5)
    return Candidate(Position(at, UUID(int=number)), "email.opened", True)


def in_flight(count: int, *, waiting: int = 0) -> Outstanding:
    return Outstanding(pending=count + waiting, waiting=waiting, oldest=EPOCH)


def piece(wanted: int, looked: int) -> Piece:
    ids = tuple(UUID(int=number) for number in range(wanted))
    return Piece(ids, Position(EPOCH, UUID(int=looked)), looked)


def room(pace: Pace, seen: Outstanding = IDLE, **known: int) -> int:
    return pace.room(seen, **({"free": 100, "slots": 100} | known), failing=False)


def at_full_pace() -> Pace:
    pace = Pace()
    for _ in range(10):
        pace.made(piece(room(pace), looked=MOST_READ))
    return pace


# Pieces.


@given(
    count=st.integers(0, 60),
    wanted=st.sets(st.integers(0, 59)),
    steps=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=10),
)
def test_pieces_one_after_the_other_hold_every_wanted_candidate_once_and_in_order(
    count: int, wanted: set[int], steps: list[tuple[int, int]]
) -> None:
    candidates = [candidate(number) for number in range(count)]
    ids = {UUID(int=number) for number in wanted}
    sent: list[UUID] = []
    passed = 0
    while passed < count:
        most, read = steps[len(sent) % len(steps)]
        page = candidates[passed : passed + read]
        found = piece_of(page, ids, most=most)
        assert len(found.ids) <= most
        assert found.reached == candidates[passed + found.looked - 1].position
        sent += found.ids
        passed += found.looked

    assert sent == [UUID(int=number) for number in sorted(wanted) if number < count]


def test_at_the_end_there_is_no_piece() -> None:
    assert piece_of([], set(), most=5) == Piece((), None, 0)


def test_what_is_not_wanted_is_passed_even_when_nothing_is() -> None:
    found = piece_of([candidate(1), candidate(2)], set(), most=5)

    assert found == Piece((), candidate(2).position, 2)


# Room.


@given(
    sizes=st.lists(
        st.tuples(
            st.integers(0, 60), st.integers(0, 5), st.integers(-9, 40), st.integers(-9, 200),
            st.booleans(), st.booleans(),
        )
    )
)  # fmt: skip
def test_there_is_never_more_room_than_is_left_over(
    sizes: list[tuple[int, int, int, int, bool, bool]],
) -> None:
    pace = Pace()
    for flying, waiting, free, slots, failing, use in sizes:
        seen = in_flight(flying, waiting=waiting)
        found = pace.room(seen, free=free, slots=slots, failing=failing)
        assert 0 <= found <= MOST_AT_ONCE
        assert found == 0 or not waiting
        assert found == 0 or found + seen.pending <= (1 if failing else MOST_OUTSTANDING)
        assert found <= max(free, 0 if seen.pending else 1)
        assert found <= max(slots, 0)
        if use and found:
            pace.made(piece(found, looked=found))


@given(free=st.integers(-50, 0), failing=st.booleans())
def test_an_endpoint_that_is_always_busy_still_gets_one_after_the_other(
    free: int, failing: bool
) -> None:
    assert Pace().room(IDLE, free=free, slots=1, failing=failing) == 1


def test_pieces_grow_while_all_of_them_is_taken() -> None:
    pace = Pace()
    sizes = []
    for _ in range(7):
        sizes.append(room(pace))
        pace.made(piece(sizes[-1], looked=sizes[-1]))

    assert sizes == [1, 2, 4, 8, MOST_AT_ONCE, MOST_AT_ONCE, MOST_AT_ONCE]


def test_while_something_waits_nothing_is_added_and_pieces_shrink() -> None:
    pace = at_full_pace()

    assert [room(pace, in_flight(3, waiting=1)) for _ in range(2)] == [0, 0]
    assert room(pace, in_flight(3)) == MOST_AT_ONCE // 4


def test_looking_without_adding_is_no_reason_to_grow() -> None:
    pace = Pace()

    assert [room(pace) for _ in range(3)] == [1, 1, 1]


# Reading, and resting.


def test_as_much_is_read_as_it_took_to_fill_the_last_piece() -> None:
    pace = Pace()
    found = [pace.to_read(16)]
    for wanted, looked in [(4, 16), (0, 64), (16, 16)]:
        pace.made(piece(wanted, looked))
        found.append(pace.to_read(16))

    assert found == [16, 64, MOST_READ, 16]


@given(room=st.integers(1, 24), wanted=st.integers(0, 24), more=st.integers(0, 500))
def test_something_is_read_and_not_too_much(room: int, wanted: int, more: int) -> None:
    pace = Pace()
    pace.made(piece(wanted, looked=max(1, wanted + more)))

    assert 1 <= pace.to_read(room) <= MOST_READ
    assert pace.to_read(room, 10) <= 10


def test_looks_become_rare_while_there_is_nothing_to_do() -> None:
    pace = Pace()
    for _ in range(20):
        pace.waited()
    idle = pace.rest
    pace.made(piece(1, looked=1))

    assert (idle, pace.rest) == (LONGEST_REST, FIRST_REST)
