"""Use of late counts, what is long ago ever less."""

from daemon.core.scheduling.recent_use import (
    HALF_LIFE_SECONDS,
    MOST_OWNERS,
    MOST_STEPS,
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
    use.spend("a", 6.1 * STEP_SECONDS, now=0.0)

    assert use.steps("a", now=0.0) == 6
    assert use.steps("a", now=HALF_LIFE_SECONDS) == 3
    assert use.steps("a", now=20 * HALF_LIFE_SECONDS) == 0


def test_much_use_is_as_much_as_more() -> None:
    use = RecentUse(STEP_SECONDS)
    use.spend("before", 60.0, now=0.0)
    use.spend("now", (MOST_STEPS + 0.5) * STEP_SECONDS, now=0.0)

    assert use.steps("before", now=0.0) == use.steps("now", now=0.0) == MOST_STEPS


def test_it_forgets_owners_that_hold_nothing() -> None:
    use = RecentUse(STEP_SECONDS)
    use.change("holds", 1, now=0.0)
    use.change("held", 1, now=0.0)
    use.change("held", -1, now=1.0)
    for number in range(MOST_OWNERS):
        use.change(number, 1, now=1.0)

    assert use.steps("holds", now=1.0) > 0
    assert use.steps("held", now=1.0) == 0
