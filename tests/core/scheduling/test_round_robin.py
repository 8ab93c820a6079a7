"""What waits in turn by owner."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.scheduling.round_robin import RoundRobin


def filled(*items: str) -> RoundRobin[str]:
    """Items whose owners are their first letters."""
    waiting: RoundRobin[str] = RoundRobin()
    for item in items:
        waiting.add(item[0], item)
    return waiting


def taken(waiting: RoundRobin[str]) -> list[str]:
    """All items, in the order in which they are taken."""
    found = []
    while (first := waiting.take()) is not None:
        found.append(first[1])
    return found


def test_owners_take_turns_and_each_one_s_items_keep_their_order() -> None:
    waiting = filled("a1", "a2", "a3", "b1", "c1", "b2")

    assert (len(waiting), waiting.count("a"), list(waiting.owners)) == (6, 3, ["a", "b", "c"])
    assert taken(waiting) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert (len(waiting), bool(waiting), waiting.count("a")) == (0, False, 0)


def test_an_item_before_all_others_of_its_owner_has_the_owner_s_turn() -> None:
    waiting = filled("a1", "a2", "b1")
    waiting.add_first("a", "a0")
    waiting.add_first("c", "c0")

    assert taken(waiting) == ["a0", "b1", "c0", "a1", "a2"]


def test_an_owner_that_may_not_have_its_turn_is_passed_over_and_keeps_its_place() -> None:
    waiting = filled("a1", "b1", "b2")

    assert waiting.take(lambda owner: owner != "a") == ("b", "b1")
    assert waiting.take(lambda _: False) is None
    assert taken(waiting) == ["a1", "b2"]


def test_what_is_obsolete_is_discarded_up_to_what_is_not() -> None:
    waiting = filled("a1", "a2", "a1", "b1")

    waiting.discard("a", lambda item: item.endswith("1"))
    waiting.discard("b", lambda item: item.endswith("1"))
    waiting.discard("c", lambda _: True)

    assert list(waiting.owners) == ["a"]
    assert taken(waiting) == ["a2", "a1"]


@given(st.lists(st.sampled_from(["a", "b", "c", "d"])))
def test_an_owner_delays_another_s_next_item_by_one_at_most(owners: list[str]) -> None:
    waiting = filled(*owners)
    order = taken(waiting)

    for owner in set(owners):
        places = [-1, *(at for at, each in enumerate(order) if each == owner)]
        for before, after in pairwise(places):
            between = order[before + 1 : after]
            assert len(between) == len(set(between))


def test_the_owner_with_the_least_cost_comes_first_and_equal_ones_in_turn() -> None:
    waiting: RoundRobin[int] = RoundRobin()
    for owner in ("dear", "a", "b", "a"):
        waiting.add(owner, 1)
    taken = []
    while first := waiting.take_least(lambda owner: 9 * (owner == "dear"), lambda _: True):
        taken.append(first[0])

    assert taken == ["a", "b", "a", "dear"]


def test_an_owner_that_may_not_have_its_turn_is_passed_over_whatever_it_costs() -> None:
    waiting: RoundRobin[int] = RoundRobin()
    waiting.add("cheap", 1)
    none = waiting.take_least(lambda _: 0, lambda _: False)
    waiting.add("dear", 2)

    assert none is None
    assert waiting.take_least(
        lambda owner: 9 * (owner == "dear"), lambda owner: owner == "dear"
    ) == ("dear", 2)
