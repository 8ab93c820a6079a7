"""Tenants take turns at the inbox: a backlog of one costs another one turn, not the backlog."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.ids import EventId, TenantId
from daemon.core.scheduling import inbox_turns
from daemon.core.scheduling.inbox_turns import (
    FIRST_EVENT,
    Continuation,
    FoundEvents,
    InboxKey,
    InboxTurn,
    InboxTurns,
)


def tenant(number: int) -> TenantId:
    return TenantId(UUID(int=number))


class Inbox:
    """Events by place; a turn takes the first of them."""

    def __init__(self, counts: dict[InboxKey, int]) -> None:
        self.events = {
            key: [EventId(UUID(int=n)) for n in range(count)] for key, count in counts.items()
        }

    def lease(self, turn: InboxTurn) -> list[EventId]:
        waiting = [each for each in self.events[turn.key] if each >= turn.after_event]
        leased = waiting[: turn.limit]
        self.events[turn.key] = [e for e in self.events[turn.key] if e not in leased]
        return leased


def take(turns: InboxTurns, inbox: Inbox, *, limit: int) -> dict[TenantId, int]:
    """Lease the next turns; how many events each tenant had."""
    taken: dict[TenantId, int] = {}
    for turn in turns.next_turns(limit=limit):
        events = inbox.lease(turn)
        turns.took(turn, events, now=0.0)
        taken[turn.key.tenant_id] = taken.get(turn.key.tenant_id, 0) + len(events)
    return taken


places = st.dictionaries(
    st.builds(InboxKey, st.integers(1, 6), st.integers(0, 3).map(tenant)),
    st.integers(0, 30),
    max_size=12,
)


@given(places, st.integers(1, 20))
def test_every_event_is_leased_once(counts: dict[InboxKey, int], limit: int) -> None:
    turns, inbox = InboxTurns(), Inbox(counts)
    for key in counts:
        turns.add(key, now=0.0)
    taken = 0
    while turns.in_line:
        taken += sum(take(turns, inbox, limit=limit).values())

    assert taken == sum(counts.values())
    assert turns.tenants == []
    assert not any(inbox.events.values())


def test_a_small_tenant_has_its_turn_beside_a_backlog_of_a_hundred_thousand() -> None:
    crowd, small = InboxKey(1, tenant(1)), InboxKey(2, tenant(2))
    turns, inbox = InboxTurns(), Inbox({crowd: 2_000, small: 1})
    turns.add(crowd, now=0.0)
    take(turns, inbox, limit=500)
    turns.add(small, now=1.0)

    assert take(turns, inbox, limit=100) == {tenant(1): 50, tenant(2): 1}


def test_a_held_tenant_has_no_turn_and_keeps_its_places() -> None:
    key = InboxKey(1, tenant(1))
    turns, inbox = InboxTurns(), Inbox({key: 3})
    turns.hold(tenant(1))
    turns.add(key, now=0.0)
    assert turns.tenants == [tenant(1)]
    assert turns.next_turns(limit=10) == []

    turns.let_go(tenant(1), now=1.0)

    assert turns.waited(now=3.0) == 2.0
    assert take(turns, inbox, limit=10) == {tenant(1): 3}


def test_a_tenant_that_rests_has_no_turn_until_it_rests_no_more() -> None:
    first, second = InboxKey(1, tenant(1)), InboxKey(2, tenant(2))
    turns, inbox = InboxTurns(), Inbox({first: 3, second: 3})
    turns.add(first, now=0.0)
    turns.rest({tenant(1)}, now=0.0)
    turns.add(second, now=0.0)
    while_resting = take(turns, inbox, limit=10)
    waiting = turns.tenants
    turns.rest((), now=1.0)

    assert (while_resting, waiting) == ({tenant(2): 3}, [tenant(1)])
    assert take(turns, inbox, limit=10) == {tenant(1): 3}


def test_nobody_takes_the_shares_of_tenants_that_rest() -> None:
    turns = InboxTurns()
    for number in range(1, 11):
        turns.add(InboxKey(number, tenant(number)), now=0.0)
    turns.add(InboxKey(11, tenant(11)), now=0.0)
    resting = {tenant(number) for number in range(2, 11)}
    turns.rest(resting | {tenant(12)}, now=0.0)  # nothing of the last one waits

    limits = {turn.key.tenant_id: turn.limit for turn in turns.next_turns(limit=110)}

    assert limits == {tenant(1): 10, tenant(11): 10}


def test_a_tenant_that_rests_while_it_is_held_has_no_turn_when_it_is_let_go() -> None:
    turns = InboxTurns()
    turns.add(InboxKey(1, tenant(1)), now=0.0)
    turns.hold(tenant(1))
    turns.rest({tenant(1)}, now=0.0)
    turns.let_go(tenant(1), now=0.0)
    while_resting = turns.next_turns(limit=10)
    turns.rest((), now=1.0)

    assert (while_resting, turns.in_line) == ([], 1)


def test_a_tenant_has_no_more_than_is_enough_for_it() -> None:
    wide, narrow = InboxKey(1, tenant(1)), InboxKey(2, tenant(2))
    turns = InboxTurns()
    turns.add(wide, now=0.0)
    turns.add(narrow, now=0.0)
    taken = {
        turn.key.tenant_id: turn.limit
        for turn in turns.next_turns(limit=20, most_of=lambda each: 1 if each == tenant(1) else 99)
    }

    assert taken == {tenant(1): 1, tenant(2): 10}


def test_failed_turns_come_again() -> None:
    turns = InboxTurns()
    turns.add(InboxKey(1, tenant(1)), now=0.0)
    taken = turns.next_turns(limit=10)
    assert turns.in_line == 0

    turns.failed(taken, now=0.0)

    assert turns.next_turns(limit=10) == taken


def test_places_that_are_forgotten_have_no_turn_until_they_are_found_again() -> None:
    held, key = InboxKey(2, tenant(2)), InboxKey(1, tenant(1))
    turns = InboxTurns()
    turns.hold(held.tenant_id)
    for each in (key, held):
        turns.add(each, now=0.0, after_event=EventId(UUID(int=5)))
    turns.look_at(key)

    turns.forget()

    assert (turns.next_turns(limit=9), turns.next_continuation()) == ([], None)
    for each in (key, held):
        turns.add(each, now=0.0)
    assert turns.next_turns(limit=9) == [InboxTurn(key, FIRST_EVENT, 9)]


def test_what_is_not_remembered_is_searched_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = InboxTurns()
    monkeypatch.setattr(inbox_turns, "MAX_KEYS_OF_TENANT", 2)
    for xid in (1, 2, 3):
        turns.add(InboxKey(xid, tenant(1)), now=0.0)
    inbox = Inbox({InboxKey(xid, tenant(1)): 1 for xid in (1, 2, 3)})
    while turns.in_line:
        take(turns, inbox, limit=10)

    assert turns.incomplete
    assert len(inbox.events[InboxKey(3, tenant(1))]) == 1


def found_at(number: int, events: int, *, more: bool = False) -> FoundEvents:
    ids = tuple(EventId(UUID(int=n + 1)) for n in range(events))
    return FoundEvents(InboxKey(number, tenant(number)), ids, more)


def test_events_that_were_found_are_leased_by_name_and_more_are_looked_for_then() -> None:
    turns = InboxTurns()
    turns.add_found(found_at(1, 3, more=True), now=0.0)

    [first] = turns.next_turns(limit=2)
    turns.took(first, first.events, now=0.0)
    [second] = turns.next_turns(limit=2)
    before = turns.next_continuation()
    turns.took(second, second.events, now=0.0)

    assert [each.int for each in first.events + second.events] == [1, 2, 3]
    assert before is None
    assert turns.next_continuation() == Continuation(first.key, second.events[-1])
    assert turns.in_line == 0


def test_the_last_events_that_were_found_end_their_place() -> None:
    turns = InboxTurns()
    turns.add_found(found_at(1, 0), now=0.0)
    nothing = turns.in_line
    turns.add_found(found_at(1, 2), now=0.0)

    [turn] = turns.next_turns(limit=9)
    turns.took(turn, [], now=0.0)  # another daemon has leased them

    assert nothing == 0
    assert (turns.in_line, turns.next_continuation()) == (0, None)


def test_of_most_places_only_the_first_event_that_was_found_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_turns, "MAX_FOUND", 1)
    turns = InboxTurns()
    for number in (1, 2):
        turns.add_found(found_at(number, 3), now=0.0)

    both = turns.next_turns(limit=10)
    for turn in both:
        turns.took(turn, turn.events, now=0.0)

    assert [len(turn.events) for turn in both] == [3, 1]
    assert turns.next_continuation() == Continuation(both[1].key, both[1].events[0])


def test_a_place_with_a_single_event_is_not_looked_at_again_however_many_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_turns, "MAX_FOUND", 1)
    turns = InboxTurns()
    for number in (1, 2):
        turns.add_found(found_at(number, 1), now=0.0)
    for turn in turns.next_turns(limit=10):
        turns.took(turn, turn.events, now=0.0)

    assert not turns.has_continuations


def test_a_place_of_which_nothing_is_known_is_looked_at_first() -> None:
    turns = InboxTurns()
    turns.look_at(InboxKey(1, tenant(1)))

    assert turns.in_line == 0
    assert turns.next_continuation() == Continuation(InboxKey(1, tenant(1)), FIRST_EVENT)
    assert not turns.has_continuations


def test_tenants_of_a_scan_that_are_too_many_are_left_to_a_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_turns, "MAX_TENANTS", 2)
    turns = InboxTurns()
    for number in (1, 2):
        turns.add(InboxKey(number, tenant(number)), now=0.0)
    turns.add(InboxKey(3, tenant(1)), now=0.0)  # known already
    before = turns.incomplete
    turns.add(InboxKey(4, tenant(3)), now=0.0)

    assert (before, turns.incomplete) == (False, True)
    assert set(turns.tenants) == {tenant(1), tenant(2)}


def test_there_is_room_for_more_events_once_those_found_are_leased_or_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_turns, "MAX_UNSERVED", 2)
    turns = InboxTurns()
    for number in (1, 2):
        turns.add_found(found_at(number, 1), now=0.0)
    full = not turns.has_room
    turns.rest({tenant(1)}, now=0.0)
    while_resting = turns.has_room
    turns.rest((), now=0.0)
    again_full = not turns.has_room
    for turn in turns.next_turns(limit=1):
        turns.took(turn, turn.events, now=0.0)

    assert (full, while_resting, again_full) == (True, True, True)
    assert turns.has_room


def test_tenants_with_long_backlogs_leave_room_for_others_once_they_have_had_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_turns, "MAX_UNSERVED", 2)
    turns = InboxTurns()
    room = []
    for number in range(1, 5):
        turns.add_found(found_at(number, 9, more=True), now=0.0)
        room.append(turns.has_room)
        if not turns.has_room:
            for turn in turns.next_turns(limit=2):
                turns.took(turn, turn.events, now=0.0)
    monkeypatch.setattr(inbox_turns, "MAX_TENANTS", 4)

    assert room == [True, False, True, False]
    assert len(turns.tenants) == 4
    assert not turns.has_room  # whatever they had


def test_a_place_for_which_there_is_no_room_makes_its_tenant_wait_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_turns, "MAX_KEYS", 1)
    turns = InboxTurns()
    for number in (1, 2):
        turns.add_found(found_at(number, 1), now=0.0)

    assert turns.tenants == [tenant(1)]
    assert turns.incomplete
