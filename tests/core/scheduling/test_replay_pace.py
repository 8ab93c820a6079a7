"""A replay takes the capacity left over, and passes every candidate once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from daemon.core.model.cursor import Cursor
from daemon.core.scheduling.replay_pace import (
    MAX_BATCH,
    MAX_OUTSTANDING,
    MAX_READ,
    MAX_REST_SECONDS,
    MIN_REST_SECONDS,
    Batch,
    Candidate,
    Outstanding,
    Pace,
    next_batch,
)

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
IDLE = Outstanding(pending=0, waiting=0, oldest=None)


def candidate(number: int) -> Candidate:
    """Five candidates each share one time, as events of one transaction do."""
    at = EPOCH + timedelta(seconds=number // 5)
    return Candidate(Cursor(at, UUID(int=number)), "email.opened", True)


def in_flight(count: int, *, waiting: int = 0) -> Outstanding:
    return Outstanding(pending=count + waiting, waiting=waiting, oldest=EPOCH)


def batch_of(wanted: int, read: int) -> Batch:
    ids = tuple(UUID(int=number) for number in range(wanted))
    return Batch(ids, Cursor(EPOCH, UUID(int=read)), read)


def room(pace: Pace, outstanding: Outstanding = IDLE, **known: int) -> int:
    return pace.room(outstanding, **({"free": 100, "slots": 100} | known), failing=False)


def at_full_pace() -> Pace:
    pace = Pace()
    for _ in range(10):
        pace.added(batch_of(room(pace), read=MAX_READ))
    return pace


@given(
    count=st.integers(0, 60),
    wanted=st.sets(st.integers(0, 59)),
    steps=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=10),
)
def test_successive_batches_contain_every_wanted_candidate_once_and_in_order(
    count: int, wanted: set[int], steps: list[tuple[int, int]]
) -> None:
    candidates = [candidate(number) for number in range(count)]
    ids = {UUID(int=number) for number in wanted}
    sent: list[UUID] = []
    passed = 0
    while passed < count:
        most, limit = steps[len(sent) % len(steps)]
        page = candidates[passed : passed + limit]
        found = next_batch(page, ids, most=most)
        assert len(found.ids) <= most
        assert found.end == candidates[passed + found.read - 1].cursor
        sent += found.ids
        passed += found.read

    assert sent == [UUID(int=number) for number in sorted(wanted) if number < count]


def test_at_the_end_there_is_no_batch_of() -> None:
    assert next_batch([], set(), most=5) == Batch((), None, 0)


def test_a_batch_ends_before_more_bytes_than_may_be_copied_but_has_one_event() -> None:
    page = [replace(candidate(number), stored_bytes=40) for number in range(5)]
    wanted = {UUID(int=number) for number in (1, 2, 4)}

    found = [next_batch(page, wanted, most=9, most_bytes=most) for most in (0, 80, 119, 120)]

    assert [[each.int for each in batch.ids] for batch in found] == [[1], [1, 2], [1, 2], [1, 2, 4]]
    assert [batch.read for batch in found] == [2, 4, 4, 5]


def test_unwanted_candidates_are_passed_even_if_none_is_wanted() -> None:
    found = next_batch([candidate(1), candidate(2)], set(), most=5)

    assert found == Batch((), candidate(2).cursor, 2)


@example(steps=[(0, 0, 0, 0, True, False)])
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 60), st.integers(0, 5), st.integers(-9, 40), st.integers(-9, 200),
            st.booleans(), st.booleans(),
        )
    )
)  # fmt: skip
def test_the_room_never_exceeds_any_of_its_limits(
    steps: list[tuple[int, int, int, int, bool, bool]],
) -> None:
    pace = Pace()
    for flying, waiting, free, slots, failing, use in steps:
        outstanding = in_flight(flying, waiting=waiting)
        found = pace.room(outstanding, free=free, slots=slots, failing=failing)
        assert 0 <= found <= MAX_BATCH
        assert found == 0 or not waiting
        assert found == 0 or found + outstanding.pending <= (1 if failing else MAX_OUTSTANDING)
        assert found <= max(free, 0 if outstanding.pending else 1)
        assert found <= max(slots, 0)
        if use and found:
            pace.added(batch_of(found, read=found))


@given(free=st.integers(-50, 0), failing=st.booleans())
def test_an_endpoint_that_is_always_busy_still_gets_one_delivery_at_a_time(
    free: int, failing: bool
) -> None:
    assert Pace().room(IDLE, free=free, slots=1, failing=failing) == 1


def test_batches_grow_while_each_is_taken_up_at_once() -> None:
    pace = Pace()
    sizes = []
    for _ in range(7):
        sizes.append(room(pace))
        pace.added(batch_of(sizes[-1], read=sizes[-1]))

    assert sizes == [1, 2, 4, 8, MAX_BATCH, MAX_BATCH, MAX_BATCH]


def test_while_a_delivery_waits_nothing_is_added_and_batches_shrink() -> None:
    pace = at_full_pace()

    assert [room(pace, in_flight(3, waiting=1)) for _ in range(2)] == [0, 0]
    assert room(pace, in_flight(3)) == MAX_BATCH // 4


def test_a_batch_does_not_grow_if_nothing_was_added() -> None:
    pace = Pace()

    assert [room(pace) for _ in range(3)] == [1, 1, 1]


def test_as_much_is_read_as_it_took_to_fill_the_last_batch_of() -> None:
    pace = Pace()
    found = [pace.to_read(16)]
    for wanted, read in [(4, 16), (0, 64), (16, 16)]:
        pace.added(batch_of(wanted, read))
        found.append(pace.to_read(16))

    assert found == [16, 64, MAX_READ, 16]


@given(room=st.integers(1, 24), wanted=st.integers(0, 24), more=st.integers(0, 500))
def test_the_number_to_read_is_within_its_bounds(room: int, wanted: int, more: int) -> None:
    pace = Pace()
    pace.added(batch_of(wanted, read=max(1, wanted + more)))

    assert 1 <= pace.to_read(room) <= MAX_READ
    assert pace.to_read(room, 10) <= 10


def test_rests_lengthen_while_there_is_nothing_to_do() -> None:
    pace = Pace()
    for _ in range(20):
        pace.idle()
    idle = pace.rest_seconds
    pace.added(batch_of(1, read=1))

    assert (idle, pace.rest_seconds) == (MAX_REST_SECONDS, MIN_REST_SECONDS)
