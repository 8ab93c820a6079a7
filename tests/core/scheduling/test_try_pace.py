"""Held results are tried a few at a time, and many at once when nothing holds them any more."""

from daemon.core.scheduling.try_pace import MOST_AFTER_SUCCESS, MOST_TRIED, TryPace


def tries(pace: TryPace, number: int, *, seconds: float, may_grow: bool) -> list[int]:
    """Make so many tries, each as soon as it may be; returns their sizes."""
    now, sizes = 0.0, list[int]()
    while len(sizes) < number:
        if size := pace.size(now=now):
            sizes.append(size)
            now += seconds
            pace.tried(size, seconds, may_grow=may_grow, now=now)
        now += pace.wait(now=now)
    return sizes


def test_tries_that_fail_are_small_and_take_a_fifth_of_the_time() -> None:
    pace = TryPace()

    assert max(tries(pace, 20, seconds=0.02, may_grow=False)) == MOST_TRIED
    pace.tried(20, 1.0, may_grow=False, now=1000.0)
    assert pace.size(now=1003.9) == 0
    assert pace.size(now=1004.0) > 0


def test_tries_grow_however_busy_the_loop_is_once_all_was_stored() -> None:
    pace = TryPace()
    tries(pace, 5, seconds=1.0, may_grow=False)

    assert tries(pace, 11, seconds=1.0, may_grow=True)[-1] == MOST_AFTER_SUCCESS
    assert tries(pace, 2, seconds=1.0, may_grow=False)[-1] == 1
