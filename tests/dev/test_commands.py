"""The commands of dev.py, and Pythons that are too old for it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dev.checkout import DEV_PY, PROGRAM, Checkout


def test_a_python_that_is_too_old_is_reported_in_one_sentence(checkout: Checkout) -> None:
    pretend = (
        "import sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['dev.py', 'demo'];"
        f"exec(compile(open({str(DEV_PY)!r}).read(), 'dev.py', 'exec'))"
    )

    done = subprocess.run(
        [sys.executable, "-c", pretend], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr == "dev.py needs Python 3.11 or later, and this is 3.9.\n"


def test_python_3_7_can_parse_dev_py() -> None:
    parsed = ast.parse(DEV_PY.read_text(), feature_version=(3, 7))  # else a SyntaxError

    assert parsed.body


def test_webhookd_replaces_dev_py_in_the_same_process_and_folder(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.run("run")

    with checkout.start("run", "check", "--json", cwd=tmp_path) as process:
        printed, _ = process.communicate(timeout=60)

    assert json.loads(printed) == {
        "arguments": ["check", "--json"],
        "cwd": str(tmp_path),
        "pid": process.pid,
    }
    assert process.returncode == 7


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        ("bench", "bench"),
        ("faults", "faults"),
        ("generate", "generated"),
        ("matrix", "matrix"),
        ("lock", "supply_chain/lock"),
        ("audit", "supply_chain/audit"),
        ("sbom", "supply_chain/sbom"),
    ],
)
def test_programs_of_the_tests_run_in_the_checkout_with_their_arguments(
    checkout: Checkout, tmp_path: Path, command: str, folder: str
) -> None:
    program = checkout.root / "tests" / folder
    program.mkdir(parents=True)
    (checkout.root / "tests" / "__init__.py").touch()
    (program.parent / "__init__.py").touch()
    (program / "__init__.py").touch()
    (program / "__main__.py").write_text(PROGRAM)
    checkout.run("run")

    code, printed = checkout.run(command, "replay", "--events", "5", cwd=tmp_path)

    assert code == 7
    report = json.loads(printed)
    assert report["arguments"] == ["replay", "--events", "5"]
    assert report["cwd"] == str(checkout.root)


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("dance",), 2), (("--help",), 0)])
def test_without_a_known_command_the_usage_is_printed_and_nothing_is_installed(
    checkout: Checkout, arguments: tuple[str, ...], code: int
) -> None:
    found, printed = checkout.run(*arguments)

    assert found == code
    assert printed.startswith("usage: python3 dev.py COMMAND")
    assert not checkout.calls()
