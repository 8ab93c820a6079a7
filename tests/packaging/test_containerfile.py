"""
The Containerfile keeps its promises: small, not root, checked pins, a health check.

No image is built here: that needs a builder and a registry of base images.
"""

import re
import shutil
import subprocess

import pytest

from tests.supply_chain.pins import ROOT

FILE = ROOT / "Containerfile"


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its argument, continuations joined, comments left out."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    pairs = [line.partition(" ") for line in lines]
    return [(name, argument) for name, _, argument in pairs]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    begins = max(place for place, (name, _) in enumerate(found) if name == "FROM")
    return found[begins:]


def test_every_line_is_an_instruction() -> None:
    known = {
        *("FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"),
        *("ENTRYPOINT", "CMD"),
    }

    assert {name for name, _ in instructions()} <= known


def test_what_runs_is_not_root_and_has_nothing_of_the_build_but_the_environment() -> None:
    stage = last_stage()

    assert dict(stage)["USER"] == "10001"
    assert [argument for name, argument in stage if name == "COPY"] == [
        "--from=build /opt/penguinmails-webhooks /opt/penguinmails-webhooks"
    ]
    assert dict(stage)["ENTRYPOINT"] == '["webhookd"]'
    assert "/healthz" in dict(stage)["HEALTHCHECK"]


def test_the_pins_are_checked_and_what_is_copied_exists() -> None:
    text = "\n".join(argument for _, argument in instructions())

    assert "--require-hashes --only-binary :all: -r requirements.lock" in text
    assert (ROOT / "requirements.lock").exists()
    ignored = (ROOT / ".containerignore").read_text().split()
    assert {".git", ".venv", "dist", "build"} <= set(ignored)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", str(FILE)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")
