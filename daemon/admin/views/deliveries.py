"""Delivery attempts in responses."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from daemon.admin import schemas
from daemon.admin.views.exchanges import scheme_of, sent_request, timing
from daemon.admin.views.json_text import json_object
from daemon.core.unprintable import escape
from daemon.core.wire import body as wire_body
from daemon.core.wire.event_ids import public_event_id
from daemon.core.wire.short_head import Known, expand
from daemon.store.attempts import Attempt, AttemptDetails


def delivery_response(attempt: Attempt) -> schemas.Delivery:
    """Show an attempt as in a list."""
    return schemas.Delivery(**_members(attempt))


def delivery_detail_response(
    stored: AttemptDetails, attempts: Sequence[Attempt]
) -> schemas.DeliveryDetail:
    """Show an attempt with its request and response; `attempts` are all of the same delivery."""
    trace = json_object(stored.trace)
    attempt = stored.attempt
    return schemas.DeliveryDetail(
        **_members(attempt),
        signature=stored.signature,
        timing=timing(trace.get("stagesMs"), attempt.duration_ms),
        request=_request(stored, _head(stored, trace)),
        response=_response(stored),
        siblings=[delivery_response(each) for each in attempts if each.id != attempt.id],
    )


def _members(attempt: Attempt) -> dict[str, Any]:
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
        "error_message": attempt.error and escape(attempt.error),
        "replay_id": attempt.replay_id,
        "exhausted": attempt.exhausted,
    }


def _head(stored: AttemptDetails, trace: Mapping[str, object]) -> object:
    """The request's head, whole in rows of earlier versions; None if the row has none."""
    short, attempt = trace.get("shortHead"), stored.attempt
    if not isinstance(short, str):
        return trace.get("head")
    known = Known(attempt.id, attempt.event_id, attempt.event_type, stored.signature)
    return expand(short, known)


def _request(stored: AttemptDetails, head: object) -> schemas.SentRequest | None:
    """
    None when nothing was sent: the attempt is still pending, or its target was refused.

    A body over a megabyte is left out.
    """
    if not isinstance(head, str):
        return None
    attempt = stored.attempt
    body = b""
    if not stored.data_left_out:
        body = wire_body.event_body(
            attempt.event_id, attempt.event_type, stored.event_created_at, stored.data
        )
    try:
        return sent_request(
            head, body, scheme=scheme_of(stored.endpoint_url), left_out=stored.data_left_out
        )
    except (ValueError, LookupError):  # the application wrote the trace
        return None


def _response(stored: AttemptDetails) -> schemas.ReceivedResponse | None:
    status = stored.attempt.status_code
    if status is None:
        return None
    headers = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in json_object(stored.response_headers).items()
    }
    return schemas.ReceivedResponse(status_code=status, headers=headers, body=stored.response_body)
