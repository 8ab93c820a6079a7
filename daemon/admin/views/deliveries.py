"""A delivery, and its request and response in full."""

from collections.abc import Sequence
from shlex import quote
from typing import Any

import orjson

from daemon.admin import schemas
from daemon.admin.views.json_text import _object
from daemon.core.model.attempts import AttemptResult, Response
from daemon.core.wire import body as wire_body
from daemon.core.wire.event_ids import public_event_id
from daemon.store.attempts import Attempt, AttemptDetails

LONGEST_BODY = 256 * 1024


UNSENT_BY_CURL = {"content-length", "host", "accept", "accept-encoding"}


def delivery(attempt: Attempt) -> schemas.Delivery:
    return schemas.Delivery(**_attempt_members(attempt))


def delivery_in_full(found: AttemptDetails, siblings: Sequence[Attempt]) -> schemas.DeliveryInFull:
    trace = _object(found.trace)
    attempt = found.attempt
    return schemas.DeliveryInFull(
        **_attempt_members(attempt),
        signature=found.signature,
        timing=timing(trace.get("stagesMs"), attempt.duration_ms),
        request=_request_of(found, trace.get("head")),
        response=_response_of(found),
        siblings=[delivery(each) for each in siblings if each.id != attempt.id],
    )


def _attempt_members(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "webhook_id": attempt.webhook_id,
        "event_id": attempt.event_id,
        "message_id": public_event_id(attempt.event_id),
        "event_type": attempt.event_type,
        "status": attempt.status,
        "status_code": attempt.status_code,
        "attempt_number": attempt.attempt_number,
        "attempted_at": attempt.attempted_at,
        "next_retry_at": attempt.next_retry_at,
        "duration_ms": attempt.duration_ms,
        "error_message": attempt.error,
        "replay_id": attempt.replay_id,
        "exhausted": attempt.exhausted,
    }


def _request_of(found: AttemptDetails, head: object) -> schemas.SentRequest | None:
    """None for what was never sent: it is still to come, or its target was refused."""
    if not isinstance(head, str):
        return None
    attempt = found.attempt
    body = wire_body.event_body(
        attempt.event_id, attempt.event_type, found.event_created_at, found.data
    )
    try:
        return sent_request(head, body, scheme=_scheme_of(found.endpoint_url))
    except (ValueError, LookupError):  # a trace that is none of ours
        return None


def _response_of(found: AttemptDetails) -> schemas.ReceivedResponse | None:
    status = found.attempt.status_code
    if status is None:
        return None
    headers = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in _object(found.response_headers).items()
    }
    return schemas.ReceivedResponse(status_code=status, headers=headers, body=found.response_body)


def sent_request(head: str, body: bytes, *, scheme: str) -> schemas.SentRequest:
    """`head` is that of a trace."""
    line, *lines = head.rstrip("\r\n").split("\r\n")
    headers = dict(each.split(": ", 1) for each in lines)
    url = f"{scheme}://{headers['Host']}{line.split(' ')[1]}"
    text, cut = body[:LONGEST_BODY].decode(errors="ignore"), len(body) > LONGEST_BODY
    return schemas.SentRequest(
        url=url,
        headers=headers,
        body=text,
        body_cut=cut,
        body_size=len(body),
        curl=None if cut else _curl(url, headers, text),
    )


def _curl(url: str, headers: dict[str, str], body: str) -> str:
    sent = [
        f"-H {quote(f'{name}: {value}')}"
        for name, value in headers.items()
        if name.lower() not in UNSENT_BY_CURL
    ]
    return " \\\n  ".join([f"curl -X POST {quote(url)}", *sent, f"--data-binary {quote(body)}"])


def _scheme_of(url: str) -> str:
    """Of a URL that may be anything by now."""
    return "http" if url[:7].lower() == "http://" else "https"


def timing(stages: object, total_ms: int | None) -> schemas.Timing:
    """`stages` are those of a trace."""
    known = stages if isinstance(stages, dict) else {}
    took = {
        f"{name}_ms": known[name] if type(known.get(name)) is int else None
        for name in ("lookup", "connect", "tls", "answer")
    }
    return schemas.Timing(**took, total_ms=total_ms)


def outcome_of_test(
    attempted: AttemptResult, body: bytes
) -> tuple[schemas.SentRequest | None, schemas.ReceivedResponse | None, schemas.Timing]:
    """What a test shows of itself, whether it was taken or not."""
    outcome, request, stages = attempted.outcome, None, {}
    if outcome.trace is not None:
        scheme = _scheme_of(attempted.claim.endpoint_url)
        request = sent_request(outcome.trace.head, body, scheme=scheme)
        stages = dict(outcome.trace.stages)
    response = None
    if isinstance(outcome.result, Response):
        answer = outcome.result
        response = schemas.ReceivedResponse(
            status_code=answer.status, headers=dict(answer.headers), body=answer.body
        )
    return request, response, timing(stages, outcome.took_ms)
