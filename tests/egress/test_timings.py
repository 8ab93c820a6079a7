"""How long an attempt took, stage by stage."""

from daemon.egress.timings import Timings


def test_stages_follow_one_another_and_what_comes_twice_counts_together() -> None:
    times = iter([0.0, 0.0, 0.1, 0.3, 0.35, 0.4, 1.0, 1.5])
    watch = Timings(lambda: next(times))

    for stage in ("answer", "lookup", "connect", "tls", "answer"):
        watch.enter(stage)

    assert watch.stages_ms() == (("answer", 700), ("lookup", 200), ("connect", 50), ("tls", 50))
    assert watch.total_ms() == 1500


def test_before_the_first_stage_there_is_none() -> None:
    assert Timings(lambda: 0.0).stages_ms() == ()
