"""A profile adds up: time counts for its function's stage, that of a built-in for its caller's."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.profiled import STAGES, shares

SENDING = """
def send(n):
    for _ in range(n):
        sorted([3, 2, 1] * 200)
        rest()

def rest():
    pass
"""
COUNTING = """
def add_batch(n):
    for _ in range(n):
        sorted([3, 2, 1] * 200)
"""
LOGGING = """
def write(n):
    for _ in range(n):
        pass
"""
MAIN = """
import sys
sys.path.insert(0, "")
from daemon.egress import sending
from daemon.logs import lines
from daemon.store import stats_batches
"""


@pytest.mark.parametrize("deliveries", [10, 100])
def test_calls_and_time_are_those_of_the_stages(tmp_path: Path, deliveries: int) -> None:
    for name, code in {
        "egress/sending": SENDING,
        "logs/lines": LOGGING,
        "store/stats_batches": COUNTING,
    }.items():
        file = tmp_path / "daemon" / f"{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(code)
        (file.parent / "__init__.py").touch()
    (tmp_path / "daemon" / "__init__.py").touch()
    calls = [
        f"sending.send({deliveries})",
        "lines.write(1000)",
        f"stats_batches.add_batch({deliveries})",
    ]
    main = MAIN + "\n".join(calls)
    (tmp_path / "main.py").write_text(main)
    profile = tmp_path / "stats"
    command = [sys.executable, "-m", "cProfile", "-o", str(profile), "main.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    found = shares(profile, deliveries=deliveries)

    # `rest` once and `sorted` twice; the three others once in all.
    assert found["calls"] == pytest.approx(3 + 3 / deliveries)
    assert sum(found[stage] for stage in STAGES) == pytest.approx(100)
    assert found["share_network"] > 0
    assert found["share_logs"] > 0
    assert found["share_driver"] == 0
    # All results are counting here, the sorting included.
    assert found["share_rollups"] == pytest.approx(found["share_results"], rel=0.01)
