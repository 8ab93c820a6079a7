"""The durations of an attempt and of its stages."""

from daemon.egress.timings import Timings


def test_a_stage_ends_with_the_next_and_repeated_stages_add_up() -> None:
    times = iter([0.0, 0.0, 0.1, 0.3, 0.35, 0.4, 1.0, 1.5])
    timings = Timings(lambda: next(times))

    for stage in ("answer", "lookup", "connect", "tls", "answer"):
        timings.enter(stage)

    assert timings.stages_ms() == (("answer", 700), ("lookup", 200), ("connect", 50), ("tls", 50))
    assert timings.total_ms() == 1500


def test_there_are_no_stages_before_the_first_is_entered() -> None:
    assert Timings(lambda: 0.0).stages_ms() == ()
