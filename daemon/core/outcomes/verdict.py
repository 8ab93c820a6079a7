"""Judging: what the outcome of one attempt means for its delivery."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import assert_never

from daemon.core.model.attempts import Failure, Outcome, Response, Verdict
from daemon.core.outcomes.backoff import parse_retry_after, retry_delay

GONE = 410
MAY_ASK_FOR_TIME = frozenset({429, 503})

BEHIND_PATH = re.compile(r"([?#]).*", re.DOTALL)
USERINFO = re.compile(r"[/\\]{2}[^/\\]*@")


def judge(
    attempt: int,
    outcome: Outcome,
    schedule: Sequence[timedelta],
    *,
    roll: float,
    now: datetime,
) -> Verdict:
    """
    Only a status of 200 to 299 is a success; everything else is a failed attempt.

    `roll` in [0, 1) is the jitter's dice; `now` is when the answer came, for a Retry-After date.
    """
    match outcome.result:
        case Response(status=status) if 200 <= status < 300:
            return Verdict(delivered=True, status=status, error=None, retry_in=None)
        case Response() as answer:
            return Verdict(
                delivered=False,
                status=answer.status,
                error=_complaint(answer),
                retry_in=retry_delay(attempt, schedule, roll=roll, asked=_asked(answer, now)),
                gone=answer.status == GONE,
            )
        case Failure(message=message):
            return Verdict(
                delivered=False,
                status=None,
                error=message,
                retry_in=retry_delay(attempt, schedule, roll=roll),
            )
        case _:
            assert_never(outcome.result)


def _asked(answer: Response, now: datetime) -> timedelta | None:
    if answer.status not in MAY_ASK_FOR_TIME:
        return None
    for name, value in answer.headers:
        if name == "retry-after":
            return parse_retry_after(value, now=now)
    return None


def _complaint(answer: Response) -> str:
    said = f"the receiver answered {_named(answer.status)}"
    where = next((value for name, value in answer.headers if name == "location"), None)
    if 300 <= answer.status < 400 and where:
        return f"{said} and redirects to {_shown(where)}; redirects are not followed"
    return said


def _shown(location: str) -> str:
    """Without what may let somebody in: this sentence is logged, mailed and shown."""
    return USERINFO.sub("//", BEHIND_PATH.sub(r"\1…", location))


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
