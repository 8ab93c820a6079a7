"""A run as a table, as JSON and as a chart."""

import json
import math
from xml.etree import ElementTree

import pytest

from tests.bench.chart import svg
from tests.bench.derived import derive
from tests.bench.report import Report
from tests.bench.results import Results

MACHINE = {
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "abc1234",
    "processors": "2 x <fast>",
    "Python": "3.11.7",
    "PostgreSQL": "18.6",
}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def report() -> Report:
    """Three rounds of two subjects beside a baseline; one subject never received an event."""
    results = Results()
    for number in range(3):
        results.add("rate", "aiohttp", {"rate": 9000 + number, "daemon_us": 100})
        for subject, rate in (("daemon", 10_000), ("abc", 5_000)):
            results.add(
                "rate", subject, {"rate": rate + number, "daemon_us": 50, "postgres_us": 26}
            )
            results.add("alone", subject, {"p99_ms": 5.0})
            results.add("storm", subject, {"p99_ms": math.inf, "missing": 2})
    derive(results)
    statements = {"rate, daemon": {"SELECT 1": 0.5}}
    return Report(MACHINE, results, "daemon", "abc", statements=statements, problems=["odd"])


def line_of(report: Report, label: str) -> list[str]:
    return next(line for line in report.table() if line.strip().startswith(label)).split()


def test_the_table_has_medians_the_ratio_and_the_target(report: Report) -> None:
    assert line_of(report, "deliveries/s")[1:] == ["9,001", "10,001", "5,001", "2.00"]
    assert line_of(report, "of the bare")[5:] == ["1.11", "0.56", "2.00", "≥", "1:", "reached"]
    assert line_of(report, "PostgreSQL, but")[-3:] == ["≤", "25:", "MISSED"]


def test_what_never_arrives_is_never_in_the_table_and_null_in_json(report: Report) -> None:
    assert line_of(report, "never received")[2:] == ["2", "2", "1.00", "≤", "0:", "MISSED"]
    assert line_of(report, "p99 /")[-6:] == ["never", "never", "1.00", "≤", "1:", "MISSED"]
    figure = report.as_json()["workloads"]["storm"]["subjects"]["daemon"]["p99_ms"]
    assert figure == {"label": "commit to receipt, p99, ms", "median": None, "rounds": [None] * 3}


def test_json_has_machine_rounds_targets_statements_and_problems(report: Report) -> None:
    read = json.loads(json.dumps(report.as_json(), allow_nan=False))

    assert read["machine"] == MACHINE
    rate = read["workloads"]["rate"]["subjects"]["daemon"]["rate"]
    assert rate == {"label": "deliveries/s", "median": 10_001, "rounds": [10_000, 10_001, 10_002]}
    assert {
        "workload": "rate",
        "figure": "postgres_us",
        "target": "≤ 25",
        "value": 26,
        "reached": False,
    } in read["targets"]
    assert read["statements"] == {"rate, daemon": {"SELECT 1": 0.5}}
    assert read["problems"] == ["odd"]
    assert "PROBLEM: odd" in "\n".join(report.table())


def test_the_chart_has_a_bar_for_each_subject_as_long_as_its_figure(report: Report) -> None:
    root = ElementTree.fromstring(svg(report))

    bars = [float(each.attrib["width"]) for each in root.iter(f"{SVG}rect")][1:4]
    assert bars[1] > bars[0] > bars[2]
    assert bars[0] / bars[1] == pytest.approx(9001 / 10_001, abs=0.01)
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert texts[0].startswith("abc1234, 2026-01-02")
    assert "2 x <fast>" in texts[0]
    assert {"rate: daemon", "10,001", "never"} <= {*texts}


def test_bars_of_several_parts_lie_side_by_side(report: Report) -> None:
    root = ElementTree.fromstring(svg(report))

    stacked = [each for each in root.iter(f"{SVG}rect") if "fill-opacity" in each.attrib]
    assert len(stacked) == 2
    assert all(float(each.attrib["x"]) > 260 for each in stacked)
