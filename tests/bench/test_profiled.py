"""A profile adds up: time counts for its function's stage, that of a built-in for its caller's."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.profiled import shares

SENDING = """
def send(n):
    for _ in range(n):
        sorted([3, 2, 1] * 200)
        rest()

def rest():
    pass
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
"""


@pytest.mark.parametrize("deliveries", [10, 100])
def test_calls_and_time_are_those_of_the_stages(tmp_path: Path, deliveries: int) -> None:
    for name, code in {"egress/sending": SENDING, "logs/lines": LOGGING}.items():
        file = tmp_path / "daemon" / f"{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(code)
        (file.parent / "__init__.py").touch()
    (tmp_path / "daemon" / "__init__.py").touch()
    main = MAIN + f"sending.send({deliveries})\nlines.write(1000)\n"
    (tmp_path / "main.py").write_text(main)
    profile = tmp_path / "stats"
    command = [sys.executable, "-m", "cProfile", "-o", str(profile), "main.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    found = shares(profile, deliveries=deliveries)

    # `rest` and `sorted` once each; `send` and `write` once in all.
    assert found["calls"] == pytest.approx(2 + 2 / deliveries)
    assert sum(value for name, value in found.items() if name != "calls") == pytest.approx(100)
    assert found["share_network"] > 0
    assert found["share_logs"] > 0
    assert found["share_results"] == found["share_driver"] == 0
