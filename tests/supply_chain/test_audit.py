"""The audit passes only if the database has answered for every pin, and can answer at all."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supply_chain.advisories import Advisories, advisory_database
from tests.supply_chain.audit import ACCEPTED, CONTROL, FOUND, NOT_AUDITED
from tests.supply_chain.pins import ROOT, RUNTIME, read_pins

PINS = [f"{pin.name}=={pin.version}" for pin in read_pins(RUNTIME) if pin.applies_here]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Advisories, dict[str, str]]]:
    with advisory_database(tmp_path) as (advisories, environment):
        advisories.listed.add(CONTROL)
        yield advisories, environment


def audit(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.supply_chain.audit", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_it_passes_after_a_look_at_every_pin(database: tuple[Advisories, dict[str, str]]) -> None:
    advisories, environment = database

    assert audit(environment) == (0, "requirements.lock: no advisory is known.\n")
    assert sorted(advisories.asked) == sorted([CONTROL, *PINS])


def test_an_advisory_of_a_pin_is_named_and_fails(
    database: tuple[Advisories, dict[str, str]],
) -> None:
    advisories, environment = database
    advisories.listed.add(PINS[-1])

    code, printed = audit(environment)

    assert code == FOUND
    assert printed == f"{PINS[-1].replace('==', ' ')}: PYSEC-1, CVE-1, fixed in 99.1\n"


def test_a_database_that_cannot_be_reached_is_no_pass(
    database: tuple[Advisories, dict[str, str]],
) -> None:
    _, environment = database
    closed = {**environment, "HTTPS_PROXY": "http://127.0.0.1:1"}

    code, printed = audit(closed)

    assert code == NOT_AUDITED
    assert printed.startswith("NOT AUDITED: the advisory database could not be asked: ")
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("status", [404, 403, 503])
def test_a_mirror_that_refuses_the_question_is_no_pass(
    database: tuple[Advisories, dict[str, str]], status: int
) -> None:
    advisories, environment = database
    advisories.status = status

    assert audit(environment)[0] == NOT_AUDITED


def test_a_mirror_that_knows_no_advisory_at_all_is_no_pass(
    database: tuple[Advisories, dict[str, str]],
) -> None:
    advisories, environment = database
    advisories.listed.clear()

    code, printed = audit(environment)

    assert code == NOT_AUDITED
    assert f"it knows no advisory of {CONTROL}" in printed
    assert advisories.asked == [CONTROL]


def test_a_database_that_never_answers_is_no_pass_and_ends(
    database: tuple[Advisories, dict[str, str]],
) -> None:
    advisories, environment = database
    advisories.answering.clear()

    assert audit(environment, "--timeout", "1")[0] == NOT_AUDITED


def test_every_accepted_advisory_has_a_reason() -> None:
    assert all(ACCEPTED.values())
