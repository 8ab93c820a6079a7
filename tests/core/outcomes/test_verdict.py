"""Only 200 to 299 is a success; everything else is a failed attempt with a reason."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response, Verdict
from daemon.core.outcomes.backoff import MAX_JITTER
from daemon.core.outcomes.verdict import judge

SCHEDULE = [timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1)]
NOW = datetime(2025, 11, 25, 14, 30, tzinfo=UTC)

header_text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"))
headers = st.lists(
    st.tuples(
        st.sampled_from(["retry-after", "location", "content-type", "x"]),
        header_text | st.integers(0, 10**12).map(str),
    ),
    max_size=5,
).map(tuple)
responses = st.builds(Response, st.integers(100, 999), headers, header_text, st.booleans())
failures = st.builds(Failure, st.sampled_from(FailureKind), st.text(min_size=1))
outcomes = st.builds(Outcome, responses | failures, st.integers(0, 6000))
jitters = st.floats(0, 1, exclude_max=True)


def verdict_on(status: int, *headers: tuple[str, str], attempt: int = 1) -> Verdict:
    outcome = Outcome(Response(status, headers, ""), took_ms=1)
    return judge(attempt, outcome, schedule=SCHEDULE, jitter=0.0, now=NOW)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 250, 299])
def test_a_2xx_status_is_a_success(status: int) -> None:
    assert verdict_on(status) == Verdict(
        delivered=True, status=status, error=None, retry_in=None, gone=False
    )


@pytest.mark.parametrize("status", [100, 199, 300, 301, 304, 400, 401, 404, 418, 500, 599, 999])
def test_any_other_status_is_a_failure_and_is_retried(status: int) -> None:
    verdict = verdict_on(status)

    assert not verdict.delivered
    assert verdict.status == status
    assert verdict.retry_in == SCHEDULE[0]
    assert not verdict.gone


def test_a_410_marks_the_endpoint_as_gone() -> None:
    assert verdict_on(410).gone


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (500, (), "the receiver answered 500 Internal Server Error"),
        (404, (), "the receiver answered 404 Not Found"),
        (299 + 300, (), "the receiver answered 599"),
        (999, (), "the receiver answered 999"),
        (304, (), "the receiver answered 304 Not Modified"),
        (302, (), "the receiver answered 302 Found"),
        (302, (("location", ""),), "the receiver answered 302 Found"),
        (
            308,
            (("location", "https://b.example/"), ("location", "https://c.example/")),
            (
                "the receiver answered 308 Permanent Redirect and redirects to"
                " https://b.example/; redirects are not followed"
            ),
        ),
        (
            302,
            (("location", "https://u:c4n4ry@b.example/in?token=c4n4ry#c4n4ry"),),
            (
                "the receiver answered 302 Found and redirects to https://b.example/in?…;"
                " redirects are not followed"
            ),
        ),
        (404, (("location", "/x"),), "the receiver answered 404 Not Found"),
    ],
)
def test_the_error_is_a_sentence_for_the_customer(
    status: int, headers: tuple[tuple[str, str], ...], error: str
) -> None:
    assert verdict_on(status, *headers).error == error


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_lengthens_the_wait_of_a_429_or_503(status: int) -> None:
    assert verdict_on(status, ("retry-after", "120")).retry_in == timedelta(minutes=2)
    assert verdict_on(status, ("retry-after", "1")).retry_in == SCHEDULE[0]
    assert verdict_on(status, ("retry-after", "999999")).retry_in == timedelta(hours=1)
    assert verdict_on(
        status, ("retry-after", "Tue, 25 Nov 2025 14:33:00 GMT")
    ).retry_in == timedelta(minutes=3)


@pytest.mark.parametrize("status", [301, 404, 500, 502, 504])
def test_retry_after_is_ignored_with_any_other_status(status: int) -> None:
    assert verdict_on(status, ("retry-after", "120")).retry_in == SCHEDULE[0]


def test_the_attempt_after_the_last_step_of_the_schedule_ends_the_delivery() -> None:
    assert verdict_on(503, ("retry-after", "120"), attempt=3).retry_in == SCHEDULE[2]
    assert verdict_on(503, ("retry-after", "120"), attempt=4).retry_in is None


@given(outcome=outcomes, attempt=st.integers(1, 6), jitter=jitters, final=st.booleans())
def test_the_parts_of_a_verdict_agree(
    outcome: Outcome, attempt: int, jitter: float, final: bool
) -> None:
    verdict = judge(
        attempt, outcome, schedule=SCHEDULE, jitter=jitter, now=NOW, client_errors_final=final
    )

    response = outcome.result if isinstance(outcome.result, Response) else None
    assert verdict.delivered == (response is not None and 200 <= response.status < 300)
    assert verdict.status == (response.status if response else None)
    assert (verdict.error is None) == verdict.delivered
    assert verdict.gone == (response is not None and response.status == 410)
    too_large = outcome.result if isinstance(outcome.result, Failure) else None
    assert verdict.too_large == (too_large is not None and too_large.kind == "too_large")
    client_error = response is not None and response.status in set(range(400, 500)) - {
        *(408, 425, 429)
    }
    ends = verdict.delivered or verdict.too_large or attempt > len(SCHEDULE)
    ends = ends or (final and client_error)
    assert (verdict.retry_in is None) == ends
    if verdict.retry_in is not None:
        least = SCHEDULE[attempt - 1]
        assert least <= verdict.retry_in <= max(SCHEDULE) * (1 + MAX_JITTER)


@given(failure=failures, attempt=st.integers(1, 6), jitter=jitters)
def test_a_failure_keeps_its_message_and_the_schedule(
    failure: Failure, attempt: int, jitter: float
) -> None:
    verdict = judge(attempt, Outcome(failure, 1), schedule=SCHEDULE, jitter=jitter, now=NOW)

    assert verdict.error == failure.message
    assert verdict.retry_in is None or verdict.retry_in <= SCHEDULE[attempt - 1] * (1 + MAX_JITTER)
