"""Lanes of endpoints at a limit: they sleep until it allows more, or until a place is free."""

import pytest

from daemon.core.scheduling.endpoint_lane import NextDue
from daemon.core.scheduling.lanes import Lanes, LaneTurn
from tests.core.scheduling.driven_lanes import endpoint, tenant

LIMITED = endpoint(1)


@pytest.fixture
def lanes() -> Lanes:
    lanes = Lanes(slots=10, widest=8)
    lanes.mark_due(LIMITED, 0.0, None, tenant_id=tenant(1), now=0.0)
    return lanes


def turn(lanes: Lanes, *, now: float) -> LaneTurn | None:
    return next(iter(lanes.next_turns(now=now, room=10)), None)


def claimed(lanes: Lanes, found: LaneTurn | None, *, until: float, full: bool) -> None:
    assert found is not None
    lanes.claimed(
        *(found,),
        taken=1,
        last_due=None,
        upcoming=NextDue(0.0, None),
        now=0.0,
        spaced_until=until,
        full=full,
    )


def test_a_place_that_is_free_ends_the_wait_of_a_lane_that_is_full(lanes: Lanes) -> None:
    claimed(lanes, turn(lanes, now=0.0), until=1.0, full=True)
    waiting = turn(lanes, now=0.1)

    lanes.freed(LIMITED, now=0.1)

    assert waiting is None
    assert turn(lanes, now=0.1) is not None


def test_a_place_that_becomes_free_during_a_claim_is_not_forgotten(lanes: Lanes) -> None:
    found = turn(lanes, now=0.0)
    lanes.freed(LIMITED, now=0.0)
    claimed(lanes, found, until=1.0, full=True)

    assert turn(lanes, now=0.1) is not None


def test_the_limit_per_second_is_waited_for_whatever_ends(lanes: Lanes) -> None:
    claimed(lanes, turn(lanes, now=0.0), until=1.0, full=False)
    lanes.finished(LIMITED, took_ms=1.0, delivered=True, now=0.1)
    lanes.freed(LIMITED, now=0.1)
    lanes.freed(endpoint(2), now=0.1)  # of which nothing is known

    assert turn(lanes, now=0.9) is None
    assert lanes.next_due_in(now=0.9) == pytest.approx(0.1)
    assert turn(lanes, now=1.0) is not None
