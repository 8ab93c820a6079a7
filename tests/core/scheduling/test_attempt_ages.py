"""Attempts in flight are noticed once they are slow, each once, whatever began and ended."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.scheduling.attempt_ages import SLOW_SECONDS, AttemptAges
from tests.core.scheduling.driven_lanes import A, B, endpoint


def test_an_attempt_is_slow_after_a_second_and_is_returned_once() -> None:
    ages = AttemptAges()
    ages.begin("first", A, now=10.0)
    ages.begin("second", B, now=10.5)

    assert ages.take_slow(now=10.9) == []
    assert ages.take_slow(now=11.0) == [A]
    assert ages.take_slow(now=11.4) == []
    assert ages.take_slow(now=99.0) == [B]
    assert (ages.end("first"), ages.end("second")) == (True, True)


def test_an_attempt_that_ends_within_a_second_was_not_slow() -> None:
    ages = AttemptAges()
    ages.begin("key", A, now=10.0)

    assert ages.end("key") is False
    assert ages.take_slow(now=99.0) == []


@dataclass
class Running:
    key: int
    began: float
    slow: bool = False


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "begin", "end", "look"]),
            st.integers(0, 50),
            st.sampled_from([0.0, 0.1, 0.4, SLOW_SECONDS, 5.0]),
        )
    )
)
def test_exactly_those_are_slow_that_have_been_in_flight_for_a_second(
    steps: list[tuple[str, int, float]],
) -> None:
    ages, running, now = AttemptAges(), list[Running](), 0.0
    for number, (step, index, seconds) in enumerate(steps):
        now += seconds
        if step == "begin":
            ages.begin(number, endpoint(number), now=now)
            running.append(Running(number, now))
        elif step == "end" and running:
            ended = running.pop(index % len(running))
            assert ages.end(ended.key) is ended.slow
        elif step == "look":
            due = [each for each in running if not each.slow and each.began + SLOW_SECONDS <= now]
            assert ages.take_slow(now=now) == [endpoint(each.key) for each in due]
            for each in due:
                each.slow = True
