"""The kinds of outcomes that stats count."""

import pytest

from daemon.core.model.attempts import FailureKind
from daemon.core.outcomes.attempt_kinds import ERROR_KINDS, KINDS, kind_position
from tests.support.results import attempt_result

STATUSES = {
    200: "delivered",
    299: "delivered",
    302: "3xx",
    410: "4xx",
    599: "5xx",
    199: "other",
    600: "other",
    999: "other",
}


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_a_response_is_counted_by_the_class_of_its_status(status: int, kind: str) -> None:
    assert kind_position(attempt_result(status)) == KINDS.index(kind)


@pytest.mark.parametrize("failure", set(FailureKind) - {FailureKind.TOO_LARGE})
def test_a_failure_without_a_response_is_counted_by_its_kind(failure: FailureKind) -> None:
    assert kind_position(attempt_result(failure)) == KINDS.index(failure.value)


def test_what_was_too_large_to_be_sent_is_not_counted() -> None:
    assert kind_position(attempt_result(FailureKind.TOO_LARGE)) is None


def test_positions_are_those_that_are_stored() -> None:
    assert " ".join(KINDS) == (
        "delivered 3xx 4xx 5xx other refused_target unusable lookup connect tls timeout"
        " disconnected protocol"
    )
    assert KINDS[1:] == ERROR_KINDS
