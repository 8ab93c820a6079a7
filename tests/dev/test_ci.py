"""The CI job: what the audit's exit code means for it."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.dev.checkout import DEV_PY, Checkout

CI_JOB = DEV_PY.parent / ".ci" / "run"
NOTICE = "NOTICE: the audit of the dependencies was skipped."

# With these the job has nothing to install on the machine that runs the tests.
TOOLS = (
    "strace",
    "ip",
    "unshare",
    "curl",
    "chromium",
    "zsh",
    "fish",
    "man",
    "openssl",
    "php",
    "ruby",
    "javac",
    "mcs",
    "promtool",
    "lnav",
)


def run_job(checkout: Checkout, *, audit: int, sbom: int = 0) -> tuple[int, str]:
    """Run the job where the audit and the bill of materials end with these exit codes."""
    (checkout.root / ".ci").mkdir()
    shutil.copy(CI_JOB, checkout.root / ".ci")
    programs = checkout.root / "tests" / "supply_chain"
    programs.mkdir(parents=True)
    for package in (programs.parent, programs):
        (package / "__init__.py").touch()
    for name, code in (("audit", audit), ("sbom", sbom)):
        (programs / f"{name}.py").write_text(f"print('ran {name}')\nraise SystemExit({code})\n")
    environment = {**os.environ, "PYTHONPATH": str(checkout.site), "PATH": _path(checkout)}
    done = subprocess.run(
        ["bash", checkout.root / ".ci" / "run"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def _path(checkout: Checkout) -> str:
    folder = checkout.site / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).write_text("#!/bin/sh\n")
    (folder / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for program in folder.iterdir():
        program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("audit", "code", "has_notice"), [(0, 0, False), (1, 1, False), (75, 0, True), (2, 2, False)]
)
def test_an_advisory_fails_the_job_and_a_skipped_audit_is_noticed(
    checkout: Checkout, audit: int, code: int, *, has_notice: bool
) -> None:
    found, printed = run_job(checkout, audit=audit)

    assert found == code
    assert "ran sbom\nran audit\n" in printed
    assert (NOTICE in printed) == has_notice


def test_a_bill_of_materials_that_cannot_be_written_ends_the_job(checkout: Checkout) -> None:
    code, printed = run_job(checkout, audit=75, sbom=1)

    assert code == 1
    assert "ran audit" not in printed


def test_a_failed_test_ends_the_job(checkout: Checkout) -> None:
    (checkout.site / "pytest-fails").touch()

    code, printed = run_job(checkout, audit=0)

    assert code == 1
    assert "ran sbom" not in printed
