"""For how long a failed lookup is remembered."""

import pytest

from daemon.egress.failed_lookups import FailedLookups
from daemon.egress.resolver import LookupFailedError

ERROR = LookupFailedError("Domain name not found")


def seconds_remembered(failed: FailedLookups, *, at: float) -> float:
    return next(n / 10 for n in range(10_000) if failed.get("a.test", now=at + n / 10) is None)


@pytest.mark.parametrize(
    ("worked", "expected"),
    [(False, [5, 10, 20, 30, 30]), (True, [1, 2, 4, 8, 16, 30, 30])],
)
def test_repeated_failures_are_remembered_for_longer_up_to_half_a_minute(
    worked: bool, expected: list[float]
) -> None:
    failed, now, remembered = FailedLookups(), 0.0, []
    for n in range(len(expected)):
        failed.add("a.test", ERROR, now=now, worked=worked and n == 0)
        remembered.append(seconds_remembered(failed, at=now))
        now += remembered[-1]

    assert remembered == expected


def test_a_success_makes_the_next_failure_a_first_one() -> None:
    failed = FailedLookups()
    failed.add("a.test", ERROR, now=0.0, worked=False)
    failed.forget("a.test")
    forgotten = failed.get("a.test", now=0.0) is None
    failed.add("a.test", ERROR, now=1.0, worked=False)

    assert forgotten
    assert seconds_remembered(failed, at=1.0) == 5


def test_a_failure_of_long_ago_does_not_count() -> None:
    failed = FailedLookups()
    failed.add("a.test", ERROR, now=0.0, worked=False)
    failed.add("a.test", ERROR, now=1000.0, worked=False)

    assert seconds_remembered(failed, at=1000.0) == 5


def test_the_error_is_a_new_one_of_the_same_kind() -> None:
    class SpecialError(LookupFailedError):
        pass

    failed = FailedLookups()
    error = SpecialError("no")
    failed.add("a.test", error, now=0.0, worked=False)
    found = failed.get("a.test", now=0.0)

    assert type(found) is SpecialError
    assert str(found) == "no"
    assert found is not error
