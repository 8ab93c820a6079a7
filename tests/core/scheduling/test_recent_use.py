"""Use of late counts, what is long ago ever less."""

from daemon.core.scheduling.recent_use import (
    HALF_LIFE_SECONDS,
    MOST_OWNERS,
    RecentUse,
)

STEP_SECONDS = 0.02


def test_use_is_counted_while_it_lasts_and_by_how_much_is_held() -> None:
    use = RecentUse(STEP_SECONDS)
    for owner in ("a", "b", "b"):
        use.change(owner, 1, now=0.0)

    assert use.steps("a", now=4 * STEP_SECONDS) == 4
    assert use.steps("b", now=4 * STEP_SECONDS) == 8
    assert use.steps("c", now=4 * STEP_SECONDS) == 0


def test_use_halves_once_it_is_over() -> None:
    use = RecentUse(STEP_SECONDS)
    use.change("a", 1, now=0.0)
    use.change("a", -1, now=1.0)
    at_once = use.steps("a", now=1.0)

    assert use.steps("a", now=1.0 + HALF_LIFE_SECONDS) == at_once // 2
    assert use.steps("a", now=1.0 + 20 * HALF_LIFE_SECONDS) == 0


def test_it_forgets_owners_that_hold_nothing() -> None:
    use = RecentUse(STEP_SECONDS)
    use.change("holds", 1, now=0.0)
    use.change("held", 1, now=0.0)
    use.change("held", -1, now=1.0)
    for number in range(MOST_OWNERS):
        use.change(number, 1, now=1.0)

    assert use.steps("holds", now=1.0) > 0
    assert use.steps("held", now=1.0) == 0
