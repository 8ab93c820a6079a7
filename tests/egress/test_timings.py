"""The durations of an attempt and of its stages."""

from daemon.egress.timings import Timings


def test_a_stage_ends_with_the_next_and_repeated_stages_add_up() -> None:
    times = iter([0.0, 0.0, 0.1, 0.3, 0.35, 0.4, 1.5])
    timings = Timings(lambda: next(times))

    for stage in ("answer", "lookup", "connect", "tls", "answer"):
        timings.enter(stage)

    assert timings.read() == (
        1500,
        (("answer", 1200), ("lookup", 200), ("connect", 50), ("tls", 50)),
    )


def test_one_stage_lasts_until_it_is_read() -> None:
    times = iter([0.0, 0.1, 0.4])
    timings = Timings(lambda: next(times))

    timings.enter("answer")

    assert timings.read() == (400, (("answer", 300),))


def test_there_are_no_stages_before_the_first_is_entered() -> None:
    assert Timings(lambda: 0.0).read() == (0, ())
