"""Attacks: the table's arithmetic, and one attack in a short form."""

import json
import math
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.faults.attacks import command, endpoint_attacks, healthy, table
from tests.faults.attacks.catalogue import ATTACKS, Attack
from tests.faults.attacks.running import run_attack
from tests.faults.attacks.scene import Scene
from tests.faults.attacks.table import Latency, Result

SECURITY = (Path(__file__).parents[2] / "docs/security.md").read_text()
QUICK = Latency.of([5.0] * 100)
HELD = Result("name", "description", QUICK, QUICK, 80.0)


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [
        ([7.0], 7.0, 7.0),
        ([2.0, 1.0], 1.0, 2.0),
        ([float(n) for n in range(100, 0, -1)], 50.0, 95.0),
        ([1.0] * 95 + [900.0] * 5, 1.0, 1.0),
        ([1.0] * 94 + [900.0] * 6, 1.0, 900.0),
        ([1.0, math.inf, math.inf], math.inf, math.inf),
        ([], math.inf, math.inf),
    ],
)
def test_a_quantile_is_a_value_that_was_measured(
    values: list[float], p50: float, p95: float
) -> None:
    assert (table.quantile(values, 0.5), table.quantile(values, 0.95)) == (p50, p95)


def test_a_delivery_that_never_arrived_counts_as_the_worst() -> None:
    latency = Latency.of([1.0, math.inf, 3.0])

    assert latency == Latency(p50=3.0, p95=math.inf, worst=math.inf, deliveries=3, missing=1)


@pytest.mark.parametrize(
    ("result", "violations"),
    [
        (HELD, []),
        (replace(HELD, attacked=Latency.of([250.0]), peak_rss_mb=400.0), []),
        (replace(HELD, alone=Latency.of([9000.0])), []),
        (replace(HELD, attacked=Latency.of([250.1])), ["p95 250 of 250 ms"]),
        (replace(HELD, max_p95_ms=4.0), ["p95 5.0 of 4 ms"]),
        (replace(HELD, peak_rss_mb=401.0), ["memory 401 of 400 MB"]),
        (
            replace(HELD, attacked=Latency.of([1.0] * 99 + [math.inf])),
            ["1 of 100 never arrived"],
        ),
        (
            replace(HELD, attacked=Latency.of([])),
            ["nothing was measured", "p95 never of 250 ms"],
        ),
        (replace(HELD, broken=("the daemon died",)), ["the daemon died"]),
    ],
)
def test_each_limit_that_was_exceeded_is_in_the_verdict(
    result: Result, violations: list[str]
) -> None:
    assert result.violations == violations
    assert result.verdict == (f"BROKEN: {'; '.join(violations)}" if violations else "held")
    assert result.as_json()["violations"] == violations


def test_what_was_skipped_is_no_success() -> None:
    skipped = replace(HELD, attacked=Latency.of([]), skipped="no namespaces")

    assert (skipped.violations, skipped.verdict) == ([], "skipped: no namespaces")


def test_the_table_has_a_line_for_each_attack_below_its_headings() -> None:
    slow = replace(HELD, name="slow", attacked=Latency.of([1234.5, math.inf]))

    *headings, first, second = table.table([HELD, slow]).splitlines()

    assert re.split(" {2,}", headings[-1]) == [
        *("attack", "p50", "p95", "worst", "p50", "p95", "worst", "MB", "verdict")
    ]
    assert re.split(" {2,}", first) == ["name", *["5.0"] * 6, "80", "held"]
    assert re.split(" {2,}", second)[4:7] == ["1,234", "never", "never"]


def test_json_has_no_infinity() -> None:
    slow = replace(HELD, attacked=Latency.of([1.0, math.inf]))

    attacked = json.loads(json.dumps(slow.as_json(), allow_nan=False))["underAttack"]

    assert attacked == {
        "p50Ms": 1.0, "p95Ms": None, "worstMs": None, "deliveries": 2, "missing": 1
    }  # fmt: skip


def test_every_attack_is_listed_and_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0

    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    documented = re.findall(
        r"^\| `([a-z-]+)` \|", SECURITY.partition("## Attacks")[2], re.MULTILINE
    )
    assert listed == list(ATTACKS) == documented


def test_an_unknown_attack_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["no-such"])

    assert ended.value.code == 2
    assert "no-such" in capsys.readouterr().err


async def test_healthy_tenants_get_all_their_events_beside_webhooks_that_hang(
    database: str, folder: Path
) -> None:
    attack = Attack("40 webhooks hang", partial(endpoint_attacks.hanging, webhooks=40))

    result = await run_attack(
        "hanging", attack, database, folder, alone_seconds=0.5, attack_seconds=1.5
    )

    assert result.alone.deliveries >= 5
    assert result.attacked.deliveries >= 15
    assert result.alone.missing == result.attacked.missing == 0
    assert any("requests to the attacker" in note for note in result.notes)
    assert result.peak_rss_mb > 20


@pytest.mark.full
async def test_a_daemon_that_dies_of_an_attack_is_reported(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healthy, "STRAGGLERS_SECONDS", 0.2)

    async def kill(scene: Scene) -> None:
        await scene.measure_alone()
        async with scene.attack():
            await scene.daemon.kill()

    result = await run_attack(
        "kill", Attack("kill -9", kill), database, folder, alone_seconds=0.2, attack_seconds=0.4
    )

    assert "the daemon died" in result.verdict
    assert "never arrived" in result.verdict
