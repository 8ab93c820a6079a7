"""
The verdict on one attempt: what its outcome means for the delivery.

Only a status of 200 to 299 is a success; everything else is a failed attempt (contract, section 1).
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import assert_never

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response, Verdict
from daemon.core.outcomes.backoff import parse_retry_after, retry_delay

# Contract, section 4: only with these does a Retry-After count.
RETRY_AFTER_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

# Client errors that pass by themselves (contract, section 7).
WORTH_A_RETRY = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)

SUCCESSES = {
    status: Verdict(delivered=True, status=status, error=None, retry_in=None)
    for status in range(200, 300)
}

QUERY_OR_FRAGMENT = re.compile(r"([?#]).*", re.DOTALL)
USERINFO = re.compile(r"[/\\]{2}[^/\\]*@")


def success_of(outcome: Outcome) -> Verdict | None:
    """Return the verdict on a success; None for any other outcome, which `judge` judges."""
    return SUCCESSES.get(outcome.result.status) if isinstance(outcome.result, Response) else None


def judge(
    attempt: int,
    outcome: Outcome,
    *,
    schedule: Sequence[timedelta],
    jitter: float,
    now: datetime,
    client_errors_final: bool = False,
) -> Verdict:
    """
    Return the verdict on the attempt in place `attempt` of its chain (1 = the first).

    `schedule` has the wait after each failed attempt, `jitter` is a random number in [0, 1), and
    `now` is when the response came, for a Retry-After that is a date. `client_errors_final`: a
    status of 400 to 499 ends the delivery, except those that ask for another attempt.
    """
    if (success := success_of(outcome)) is not None:
        return success
    match outcome.result:
        case Response() as response:
            if client_errors_final and _is_final(response.status):
                schedule = ()
            requested = _requested_delay(response, now)
            return Verdict(
                delivered=False,
                status=response.status,
                error=_error(response),
                retry_in=retry_delay(attempt, schedule, jitter=jitter, requested=requested),
                gone=response.status == HTTPStatus.GONE,
            )
        case Failure(kind=FailureKind.TOO_LARGE, message=message):
            return Verdict(
                delivered=False, status=None, error=message, retry_in=None, too_large=True
            )
        case Failure(message=message):
            return Verdict(
                delivered=False,
                status=None,
                error=message,
                retry_in=retry_delay(attempt, schedule, jitter=jitter),
            )
        case _:
            assert_never(outcome.result)


def _is_final(status: int) -> bool:
    return 400 <= status < 500 and status not in WORTH_A_RETRY


def _requested_delay(response: Response, now: datetime) -> timedelta | None:
    if response.status not in RETRY_AFTER_STATUSES:
        return None
    for name, value in response.headers:
        if name == "retry-after":
            return parse_retry_after(value, now=now)
    return None


def _error(response: Response) -> str:
    """The sentence that is stored and shown to the customer."""
    sentence = f"the receiver answered {_status_line(response.status)}"
    location = next((value for name, value in response.headers if name == "location"), None)
    if 300 <= response.status < 400 and location:
        return f"{sentence} and redirects to {_redacted(location)}; redirects are not followed"
    return sentence


def _redacted(location: str) -> str:
    """Remove credentials and tokens from a URL: the sentence is logged, mailed and shown."""
    return USERINFO.sub("//", QUERY_OR_FRAGMENT.sub(r"\1…", location))


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
