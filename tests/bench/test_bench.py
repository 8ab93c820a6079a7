"""The instrument works: small loads, counts that add up, figures that can be true; no timings."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench.__main__ import main
from tests.bench.test_variants import needs_git
from tests.bench.variants import ROOT
from tests.bench.workloads import WORKLOADS

SUBJECTS = {
    "rate": {"aiohttp", "sender"},
    "tls": {"aiohttp", "sender"},
    "paced-50": {"publisher"},
    "paced-500": {"publisher"},
}


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


class Figures:
    """What a run wrote as JSON."""

    def __init__(self, file: Path) -> None:
        self.run: dict[str, Any] = json.loads(file.read_text())

    def subjects(self, workload: str) -> dict[str, Any]:
        found: dict[str, Any] = self.run["workloads"][workload]["subjects"]
        return found

    def median(self, workload: str, subject: str, figure: str) -> float:
        return float(self.subjects(workload)[subject][figure]["median"])

    def check_throughput(self, workload: str, subject: str) -> None:
        assert self.median(workload, subject, "rate") > 10
        assert 1 <= self.median(workload, subject, "row_versions") < 10
        assert self.median(workload, subject, "duplicates") == 0
        daemon, postgres, both = [
            self.median(workload, subject, figure)
            for figure in ("daemon_us", "postgres_us", "cpu_us")
        ]
        assert 1 < daemon < 100_000
        assert 1 < postgres < 100_000
        assert both == pytest.approx(daemon + postgres)
        publishers = self.median(workload, subject, "publisher_wal_bytes")
        whole = self.median(workload, subject, "wal_bytes")
        assert 10 < publishers < whole
        own = self.median(workload, subject, "wal_own_bytes")
        assert own == pytest.approx(whole - publishers)

    def check_latency(self, workload: str, subject: str) -> None:
        p50, p99, worst = [
            self.median(workload, subject, figure) for figure in ("p50_ms", "p99_ms", "worst_ms")
        ]
        assert 0 < p50 <= p99 <= worst < 120_000


@pytest.mark.full
def test_a_quick_run_of_two_workloads_adds_up(tmp_path: Path) -> None:
    done = run("payload", "alone", "--quick", "--json", str(tmp_path / "json"))

    assert done.returncode == 0, done.stdout + done.stderr
    figures = Figures(tmp_path / "json")
    assert figures.run["problems"] == []
    figures.check_throughput("payload", "daemon")
    figures.check_latency("alone", "daemon")
    assert figures.median("alone", "daemon", "missing") == 0
    assert figures.median("alone", "daemon", "beside_events") == 100
    assert 20 < figures.median("alone", "daemon", "rss_mb") < 1000
    assert "row versions of webhook_deliveries per delivery" in done.stdout


@pytest.mark.full
@pytest.mark.timeout(300)
@needs_git
def test_a_quick_run_against_another_revision_adds_up(tmp_path: Path) -> None:
    done = run("payload", "idle", "--quick", "--against", "HEAD", "--json", str(tmp_path / "json"))

    assert done.returncode == 0, done.stdout + done.stderr
    figures = Figures(tmp_path / "json")
    assert figures.run["problems"] == []
    [revision] = figures.subjects("idle").keys() - {"daemon"}
    for subject in ("daemon", revision):
        figures.check_throughput("payload", subject)
    assert all(target["value"] is not None for target in figures.run["targets"])


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_quick_run_of_everything_adds_up(tmp_path: Path) -> None:
    json_file, svg_file = tmp_path / "json", tmp_path / "svg"
    files = ("--json", str(json_file), "--svg", str(svg_file))

    done = run("--quick", *files)

    assert done.returncode == 0, done.stdout + done.stderr
    figures = Figures(json_file)
    assert figures.run["problems"] == []
    assert figures.run["workloads"].keys() == WORKLOADS.keys()
    for workload in WORKLOADS:
        assert figures.subjects(workload).keys() >= {"daemon"} | SUBJECTS.get(workload, set())
        if WORKLOADS[workload].group == "throughput":
            figures.check_throughput(workload, "daemon")
        elif workload not in ("idle", "profile"):
            figures.check_latency(workload, "daemon")
    assert figures.median("profile", "daemon", "calls") > 10
    for subject in ("aiohttp", "sender"):
        assert figures.median("rate", subject, "rate") > 10
    # One; but the database reports late, and the window of a quick run is short.
    assert 0 < figures.median("paced-50", "publisher", "transactions") < 2
    bars = ElementTree.parse(svg_file).getroot().iter("{http://www.w3.org/2000/svg}rect")
    assert len(list(bars)) > 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing-like-it",), "no such workload: nothing-like-it (see --list)"),
        (("--rounds", "0"), "must be a number of at least 1"),
        (("--python", "/no/such/python"), "/no/such/python: No such file or directory"),
        (("--python", "false"), "false: it is no Python"),
    ],
)
def test_mistakes_on_the_command_line_are_named(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)

    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


def test_the_list_has_every_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(WORKLOADS)
