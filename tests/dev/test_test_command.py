"""`dev.py test`: the checks, the pytest processes, their counts and their exit codes."""

import ast
import os
import re
import signal
from pathlib import Path

import pytest

from tests.dev.checkout import Checkout

CLOSING_LINE = r"==== {} in \d+\.\d\ds \(0:\d\d\) ===="


def test_all_checks_run_even_if_the_first_fails_and_the_last_line_counts_the_tests(
    checkout: Checkout,
) -> None:
    (checkout.site / "ruff-fails").touch()

    code, printed = checkout.run("test")

    assert code == 1
    assert checkout.calls()[2:] == [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ]
    assert "ruff check: failed in " in printed
    assert "ruff found a mistake" in printed
    assert "mypy: passed in " in printed
    assert "mypy found nothing" not in printed
    assert re.fullmatch(CLOSING_LINE.format("10 passed"), printed.splitlines()[-1])


def test_the_exit_code_is_0_when_everything_passes(checkout: Checkout) -> None:
    assert checkout.run("test")[0] == 0


@pytest.mark.parametrize(
    ("failure", "counts"),
    [
        ("pytest-fails", "5 failed, 10 passed"),
        ("pytest-fails-not", "4 failed, 10 passed"),
        ("pytest-fails-timing", "1 failed, 10 passed"),
    ],
)
def test_a_failure_in_any_pytest_process_is_shown_and_counted_and_fails_the_run(
    checkout: Checkout, failure: str, counts: str
) -> None:
    (checkout.site / failure).touch()

    code, printed = checkout.run("test")

    assert code == 1
    assert printed.count("one of pytest's failures") == int(counts[0])
    assert re.fullmatch(CLOSING_LINE.format(counts), printed.splitlines()[-1])


def test_a_pytest_process_that_writes_no_counts_is_an_error(checkout: Checkout) -> None:
    (checkout.site / "pytest-dies").touch()

    code, printed = checkout.run("test")

    assert code == 1
    assert re.fullmatch(CLOSING_LINE.format("5 errors"), printed.splitlines()[-1])


@pytest.mark.parametrize(("arguments", "rest"), [((), " and not full"), (("--full",), "")])
def test_four_processes_share_the_tests_and_then_one_runs_the_timing_tests(
    checkout: Checkout, arguments: tuple[str, ...], rest: str
) -> None:
    _, printed = checkout.run("test", *arguments)

    called = [
        ast.literal_eval(line.removeprefix("arguments "))
        for line in printed.splitlines()
        if line.startswith("arguments ")
    ]
    shares = [word.partition("=")[2] for each in called for word in each if "--share=" in word]
    assert [each[-1] for each in called] == [f"not timing{rest}"] * 4 + [f"timing{rest}"]
    assert len(set(shares[:4])) == 1
    assert shares[4] not in shares[:4]
    assert not Path(shares[0]).exists()


def test_with_arguments_only_pytest_runs_and_its_exit_code_is_returned(checkout: Checkout) -> None:
    (checkout.site / "pytest-fails").touch()

    code, printed = checkout.run("test", "-k", "two words")

    assert code == 3
    assert "arguments ['-k', 'two words']" in printed
    assert [name for name, *_ in checkout.calls()] == ["pip", "pip"]


@pytest.mark.parametrize("arguments", [("-x",), ()])
def test_an_interrupt_lets_pytest_clean_up_and_shows_no_traceback(
    checkout: Checkout, arguments: tuple[str, ...]
) -> None:
    (checkout.site / "pytest-hangs").touch()
    with checkout.start("test", *arguments) as process:
        assert process.stdout
        while "arguments" not in process.stdout.readline():
            pass

        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=60)

    assert printed == "cleaned up\n"
    assert process.returncode == 130


@pytest.mark.parametrize("arguments", [("-x",), ()])
def test_termination_ends_pytest_too(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    (checkout.site / "pytest-hangs").touch()
    with checkout.start("test", *arguments) as process:
        assert process.stdout
        while "arguments" not in process.stdout.readline():
            pass

        process.terminate()
        # The pipe ends only when pytest, which holds it too, has ended.
        printed, _ = process.communicate(timeout=60)

    assert printed == ""
    assert process.returncode == 128 + signal.SIGTERM
