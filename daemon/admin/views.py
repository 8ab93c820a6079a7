"""From rows to what the API shows of them: nothing secret passes here."""

from collections.abc import Sequence
from shlex import quote
from typing import Any
from urllib.parse import urlsplit

import orjson

from daemon import payload, signing
from daemon.admin import schemas
from daemon.model import HIDDEN, Answer, Attempted
from daemon.samples import EVENT_TYPES, nearest, takes_any
from daemon.store.catalogue import Settings, WebhookEntry
from daemon.store.history import Attempt, AttemptInFull
from daemon.store.replays import Replay

UNSENT_BY_CURL = {"content-length", "host", "accept", "accept-encoding"}


def webhook(entry: WebhookEntry) -> schemas.Webhook:
    return schemas.Webhook(**members_of(entry))


def members_of(entry: WebhookEntry) -> dict[str, Any]:
    settings, stored = entry.settings, entry.secrets
    return {
        "id": entry.id,
        "tenant_id": entry.tenant_id,
        "name": settings.name,
        "description": settings.description,
        "endpoint_url": settings.endpoint_url,
        "event_types": None if settings.event_types is None else list(settings.event_types),
        "event_filters": _json(settings.event_filters),
        "filter_error": entry.filter_error,
        "is_active": entry.is_active,
        "is_failing": entry.is_failing,
        "consecutive_failures": entry.consecutive_failures,
        "paused_reason": entry.paused_reason,
        "last_success_at": entry.last_success_at,
        "last_failure_at": entry.last_failure_at,
        "custom_headers": _header_names(stored.custom_headers),
        "has_client_certificate": stored.client_certificate is not None,
        "notification_email": settings.notification_email,
        "previous_secret_expires_at": entry.previous_secret_expires_at,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
        "warnings": _warnings(settings),
    }


def _warnings(settings: Settings) -> list[str]:
    """Types that no event of ours will have: the application may know others, or it is a slip."""
    filters = _json(settings.event_filters)
    in_filters = filters.get("event_types") if isinstance(filters, dict) else None
    named = {
        "eventTypes": settings.event_types,
        "eventFilters.event_types": in_filters if isinstance(in_filters, list) else None,
    }
    return [
        f"{member}: {name} is none of the {len(EVENT_TYPES)} event types{_meant(name)}"
        for member, names in named.items()
        for name in names or ()
        if isinstance(name, str) and not takes_any(name)
    ]


def _meant(name: str) -> str:
    near = nearest(name)
    return f"; did you mean {near}?" if near else ""


def delivery(attempt: Attempt) -> schemas.Delivery:
    return schemas.Delivery(**_attempt_members(attempt))


def delivery_in_full(found: AttemptInFull, siblings: Sequence[Attempt]) -> schemas.DeliveryInFull:
    trace = _json(found.trace) or {}
    attempt = found.attempt
    return schemas.DeliveryInFull(
        **_attempt_members(attempt),
        signature=found.signature,
        timing=timing(trace.get("stagesMs", {}), attempt.duration_ms),
        request=_request_of(found, trace.get("head")),
        response=_response_of(found),
        siblings=[delivery(each) for each in siblings if each.id != attempt.id],
    )


def _attempt_members(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "webhook_id": attempt.webhook_id,
        "event_id": attempt.event_id,
        "message_id": signing.message_id_of(attempt.event_id),
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


def _request_of(found: AttemptInFull, head: str | None) -> schemas.SentRequest | None:
    """None for what was never sent: it is still to come, or its target was refused."""
    if head is None:
        return None
    attempt = found.attempt
    body = payload.body_of(attempt.event_id, attempt.event_type, found.event_created_at, found.data)
    return sent_request(head, body, scheme=urlsplit(found.endpoint_url).scheme)


def _response_of(found: AttemptInFull) -> schemas.ReceivedResponse | None:
    status = found.attempt.status_code
    if status is None:
        return None
    headers = _json(found.response_headers) or {}
    return schemas.ReceivedResponse(status_code=status, headers=headers, body=found.response_body)


def sent_request(head: str, body: bytes, *, scheme: str) -> schemas.SentRequest:
    """`head` is that of a trace."""
    line, *lines = head.rstrip("\r\n").split("\r\n")
    headers = dict(each.split(": ", 1) for each in lines)
    url = f"{scheme or 'https'}://{headers['Host']}{line.split(' ')[1]}"
    text = body.decode()
    return schemas.SentRequest(url=url, headers=headers, body=text, curl=_curl(url, headers, text))


def _curl(url: str, headers: dict[str, str], body: str) -> str:
    sent = [
        f"-H {quote(f'{name}: {value}')}"
        for name, value in headers.items()
        if name.lower() not in UNSENT_BY_CURL
    ]
    return " \\\n  ".join([f"curl -X POST {quote(url)}", *sent, f"--data-binary {quote(body)}"])


def timing(stages: dict[str, int], total_ms: int | None) -> schemas.Timing:
    return schemas.Timing(
        lookup_ms=stages.get("lookup"),
        connect_ms=stages.get("connect"),
        tls_ms=stages.get("tls"),
        answer_ms=stages.get("answer"),
        total_ms=total_ms,
    )


def outcome_of_test(
    attempted: Attempted, body: bytes
) -> tuple[schemas.SentRequest | None, schemas.ReceivedResponse | None, schemas.Timing]:
    """What a test shows of itself, whether it was taken or not."""
    outcome, request, stages = attempted.outcome, None, {}
    if outcome.trace is not None:
        scheme = urlsplit(attempted.claim.endpoint_url).scheme
        request = sent_request(outcome.trace.head, body, scheme=scheme)
        stages = dict(outcome.trace.stages)
    response = None
    if isinstance(outcome.result, Answer):
        answer = outcome.result
        response = schemas.ReceivedResponse(
            status_code=answer.status, headers=dict(answer.headers), body=answer.body
        )
    return request, response, timing(stages, outcome.took_ms)


def replay(found: Replay) -> schemas.Replay:
    return schemas.Replay(
        id=found.id,
        webhook_id=found.webhook_id,
        source=found.source.value,
        from_=found.from_time,
        to=found.to_time,
        event_types=None if found.event_types is None else list(found.event_types),
        status=found.status.value,
        begun=found.begun,
        paused=found.paused,
        total=found.total,
        sent=found.sent,
        created_at=found.created_at,
        finished_at=found.finished_at,
    )


def _header_names(custom_headers: str | None) -> dict[str, str] | None:
    headers = _json(custom_headers)
    return dict.fromkeys(headers, HIDDEN) if isinstance(headers, dict) else None


def _json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)
