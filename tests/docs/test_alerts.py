"""The alerting rules: each fires, each has a healthy twin and a remedy, and names real metrics."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml  # type: ignore[import-untyped]

from tests.docs.alert_cases import CASES, Case, Series

DOCS = Path(__file__).parents[2] / "docs"
RULES = DOCS / "alerts.yml"
REMEDIES = (DOCS / "alerts.md").read_text()
METRICS = (DOCS / "metrics.md").read_text()
DASHBOARD = DOCS / "grafana-dashboard.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

[GROUP] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: dict[str, Any] = {rule["alert"]: rule for rule in GROUP["rules"]}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def promtool(*arguments: str, cwd: Path) -> str:
    ended = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(DASHBOARD.read_bytes())["panels"]
    return found


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def test_each_rule_has_a_case_a_severity_a_summary_and_a_remedy() -> None:
    assert ALERTS.keys() == CASES.keys()
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["runbook_url"] == f"alerts.md#{name.lower()}"
        summary = rule["annotations"]["summary"]
        heading = f"## {name}\n\n**{rule['labels']['severity'].capitalize()}, "
        remedy = REMEDIES.partition(heading)[2].partition("\n## ")[0]
        assert summary in remedy, name
        assert "```sh\n" in remedy, name


def test_rules_and_dashboard_name_metrics_that_a_daemon_serves() -> None:
    # The table in metrics.md is compared with a live daemon's page by test_metrics_guide.py.
    served = set(re.findall(r"`((?:webhookd|process)_\w+)`", METRICS))
    queries = [rule["expr"] for rule in ALERTS.values()] + dashboard_queries()
    named = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for query in queries
        for name in re.findall(r"\b(?:webhookd|process)_\w+", query)
    }
    assert sorted(named - served) == []


def test_the_dashboard_can_be_imported() -> None:
    dashboard = orjson.loads(DASHBOARD.read_bytes())

    assert (dashboard["uid"], dashboard["id"]) == ("penguinmails-webhooks", None)
    variables = {each["name"]: each["type"] for each in dashboard["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query", "instance": "query"}
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        assert panel["type"] == "row" or panel["datasource"] == DATASOURCE, panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


@needs_promtool
def test_promtool_accepts_the_rules_and_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    recorded = [
        {"record": f"query:{number}", "expr": concrete(query)}
        for number, query in enumerate(dashboard_queries())
    ]
    (tmp_path / "dashboard.yml").write_bytes(
        orjson.dumps({"groups": [{"name": "dashboard", "rules": recorded}]})
    )

    said = promtool("check", "rules", str(RULES), "dashboard.yml", cwd=tmp_path)

    assert f"{len(ALERTS)} rules found" in said
    assert f"{len(recorded)} rules found" in said


@needs_promtool
def test_each_alert_fires_and_not_with_its_healthy_twin(tmp_path: Path) -> None:
    for name, case in CASES.items():
        # Each rule by itself: all of them would be evaluated for each minute of each case.
        write(tmp_path / f"{name}.rules.yml", {"groups": [{"name": "g", "rules": [ALERTS[name]]}]})
        tests = [
            unit_test(name, case, case.fires, [{"labels": "{}", "value": 1}]),
            unit_test(name, case, case.healthy, []),
        ]
        rules = {"rule_files": [f"{name}.rules.yml"], "evaluation_interval": case.step}
        write(tmp_path / f"{name}.tests.yml", rules | {"tests": tests})

    promtool("test", "rules", *(f"{name}.tests.yml" for name in CASES), cwd=tmp_path)


def write(file: Path, document: object) -> None:
    file.write_bytes(orjson.dumps(document))  # JSON is YAML


def unit_test(name: str, case: Case, series: Series, expected: list[Any]) -> dict[str, Any]:
    return {
        "interval": case.step,
        "input_series": [
            {"series": full_name(each), "values": values} for each, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                "eval_time": case.at,
                "exp_samples": expected,
            }
        ],
    }


def full_name(series: str) -> str:
    name, _, labels = series.partition("{")
    prefix = "" if name == "up" or name.startswith("process_") else "webhookd_"
    own = ['job="webhookd"', 'instance="one"', *([labels.rstrip("}")] if labels else ())]
    return f"{prefix}{name}{{{','.join(own)}}}"


def concrete(query: str) -> str:
    """The query with values for Grafana's variables."""
    return (
        query.replace("$__rate_interval", "5m")
        .replace("$instance", ".*")
        .replace("$job", "webhookd")
    )
