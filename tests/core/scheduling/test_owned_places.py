"""Each owner has a share of the places, and leaves most to others."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.scheduling.owned_places import OwnedPlaces


def taken_by(places: OwnedPlaces, owner: object) -> int:
    """Take as many places as there are for this owner."""
    count = 0
    while places.take(owner):
        count += 1
    return count


def test_one_owner_leaves_three_quarters_to_others() -> None:
    assert taken_by(OwnedPlaces(16), "a") == 4


def test_several_owners_leave_some_to_the_next() -> None:
    places = OwnedPlaces(16)

    assert [taken_by(places, owner) for owner in "abcdef"] == [4, 3, 3, 2, 1, 1]
    assert places.free == 2


def test_an_owner_has_no_more_than_one_may_have() -> None:
    places = OwnedPlaces(64, most_of_one=4)
    taken = taken_by(places, "a")

    assert (taken, places.has_most("a"), places.has_most("b")) == (4, True, False)


@given(st.lists(st.integers(0, 30), max_size=60))
def test_while_any_is_free_an_owner_without_one_may_have_it(owners: list[int]) -> None:
    places = OwnedPlaces(16)
    for owner in owners:
        places.take(owner)
    is_any_free = places.free > 0

    assert places.take("another") is is_any_free


def test_what_is_given_back_is_free() -> None:
    places = OwnedPlaces(1)
    taken = [places.take("a"), places.take("b")]
    places.give_back("a")

    assert (taken, places.free, places.take("b")) == ([True, False], 1, True)


@given(st.lists(st.integers(0, 30), max_size=60))
def test_the_reserve_is_for_owners_without_a_place_one_each(owners: list[int]) -> None:
    plain, places = OwnedPlaces(16), OwnedPlaces(16, reserve=8)
    for owner in owners:
        if plain.take(owner):
            assert places.take(owner)
    others = [places.take(("another", number)) for number in range(8 + plain.free + 1)]

    assert others == [True] * (8 + plain.free) + [False]
    assert not places.take(("another", 0))
