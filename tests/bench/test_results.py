"""Medians, ratios, and what the targets make of them."""

import math

import pytest

from tests.bench.derived import derive, of_limit
from tests.bench.measures import MEASURES
from tests.bench.results import Results, Series, quotient
from tests.bench.targets import TARGETS, Judged, Target, judge
from tests.bench.workloads import WORKLOADS, with_needs


def results_of(**workloads: dict[str, dict[str, list[float]]]) -> Results:
    return Results(
        {
            Series(workload.replace("_", "-"), subject, figure): values
            for workload, subjects in workloads.items()
            for subject, figures in subjects.items()
            for figure, values in figures.items()
        }
    )


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_the_medians() -> None:
    results = results_of(rate={"a": {"rate": [1, 10, 100]}, "b": {"rate": [1, 1, 200]}})

    assert results.ratio("rate", "rate", ("a", "b")) == 1.0
    assert results.subjects("rate") == ["a", "b"]


def test_a_figure_that_was_counted_once_counts_for_every_round() -> None:
    results = results_of(
        rate={"daemon": {"wal_bytes": [3000, 3100, 3300], "publisher_wal_bytes": [1000]}}
    )

    derive(results)

    assert results.values[Series("rate", "daemon", "wal_own_bytes")] == [2000, 2100, 2300]


def test_the_publishers_share_is_taken_off_round_by_round_where_it_is_a_subject() -> None:
    results = results_of(
        paced_50={
            "publisher": {"wal_bytes": [1, 2], "transactions": [1, 1], "fsyncs": [1, 1]},
            "daemon": {"wal_bytes": [5, 7], "transactions": [4, 5], "fsyncs": [2, 3]},
        }
    )

    derive(results)

    assert results.median("paced-50", "daemon", "wal_own_bytes") == 4.5
    assert results.median("paced-50", "daemon", "transactions_own") == 3.5
    assert results.median("paced-50", "daemon", "fsyncs_own") == 1.5
    assert results.median("paced-50", "publisher", "wal_own_bytes") is None


def test_rates_are_compared_with_the_bare_loop_of_the_same_transport() -> None:
    results = results_of(
        rate={"aiohttp": {"rate": [100]}, "daemon": {"rate": [150]}},
        tls={"aiohttp": {"rate": [50]}, "daemon": {"rate": [120]}},
        fan_out={"daemon": {"rate": [300]}},
        payload={"daemon": {"rate": [80]}},
    )

    derive(results)

    ratio = "ratio_aiohttp"
    assert results.median("rate", "daemon", ratio) == 1.5
    assert results.median("tls", "daemon", ratio) == 2.4
    assert results.median("fan-out", "daemon", ratio) == 3.0
    assert results.median("payload", "daemon", ratio) is None
    assert results.median("tls", "daemon", "ratio_http") == 0.8


def test_several_daemons_are_compared_with_one_of_the_same_revision() -> None:
    one = {"rate": [100.0], "postgres_us": [20.0], "statements_event": [0.1]}
    two = {"rate": [130.0], "postgres_us": [30.0], "statements_event": [0.2]}
    results = results_of(
        rate={"daemon": one, "old": {"rate": [50]}},
        daemons_2={"daemon": two, "old": {"rate": [100]}},
    )

    derive(results)

    found = [
        results.median("daemons-2", "daemon", figure)
        for figure in ("ratio_one", "postgres_ratio_one", "statements_ratio_one")
    ]
    assert found == [1.3, 1.5, 2.0]
    assert results.median("daemons-2", "old", "ratio_one") == 2.0


@pytest.mark.parametrize(
    ("alone_ms", "beside_ms", "expected"),
    [(5, 20, 1.0), (5, 10, 0.5), (30, 60, 1.0), (30, 90, 1.5), (5, math.inf, math.inf)],
)
def test_beside_a_load_twice_the_delay_alone_or_15_ms_more_is_allowed(
    alone_ms: float, beside_ms: float, expected: float
) -> None:
    assert of_limit(beside_ms, alone_ms) == expected


def test_what_a_failed_step_leaves_out_is_not_derived() -> None:
    results = results_of(
        rate={"aiohttp": {"rate": [100, 100]}, "daemon": {"rate": [150]}, "old": {"wal_bytes": [1]}}
    )
    results.add("rate", "daemon", {})

    derive(results)

    # One value counts for every round: it may be the only round that succeeded.
    assert results.values[Series("rate", "daemon", "ratio_aiohttp")] == [1.5, 1.5]
    assert results.median("rate", "old", "wal_own_bytes") is None


@pytest.mark.parametrize(
    ("value", "least", "reached"),
    [(1.0, False, True), (1.1, False, False), (1.0, True, True), (0.9, True, False)],
)
def test_a_target_is_reached_at_its_limit(value: float, *, least: bool, reached: bool) -> None:
    assert Judged(Target("rate", "rate", 1, least=least), value).reached is reached


def test_a_target_against_another_revision_needs_one() -> None:
    values = {"daemon": {"cpu_us": [50.0]}, "old": {"cpu_us": [100.0]}}
    results = results_of(payload=values)

    [alone] = judge(results, subject="daemon", other=None)
    [compared] = judge(results, subject="daemon", other="old")

    assert (alone.value, alone.reached) == (None, None)
    assert (compared.value, compared.reached) == (0.5, True)
    assert str(compared.target) == "≤ 0.65 of the other"


def test_never_received_misses_its_target() -> None:
    results = results_of(
        alone={"daemon": {"p99_ms": [5]}}, storm={"daemon": {"p99_ms": [math.inf], "missing": [3]}}
    )

    derive(results)

    assert [each.reached for each in judge(results, subject="daemon", other=None)] == [False, False]


def test_every_target_is_about_a_known_workload_and_figure() -> None:
    assert {each.workload for each in TARGETS} <= WORKLOADS.keys()
    assert {each.figure for each in TARGETS} <= MEASURES.keys()


def test_what_a_workload_is_compared_with_is_measured_too_and_groups_stay_together() -> None:
    assert with_needs(["storm", "daemons-2", "idle"]) == [
        "rate",
        "daemons-2",
        "idle",
        "alone",
        "storm",
    ]
    groups = [WORKLOADS[name].group for name in with_needs([])]
    assert groups == sorted(groups, key=["throughput", "profile", "steady", "live"].index)


def test_equal_values_have_the_ratio_one_whatever_they_are() -> None:
    assert [quotient(0, 0), quotient(math.inf, math.inf), quotient(1, 0), quotient(1, 4)] == [
        1.0,
        1.0,
        math.inf,
        0.25,
    ]
