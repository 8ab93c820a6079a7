"""From rows to what the API shows of them: nothing secret passes here."""

from collections.abc import Iterable, Sequence
from shlex import quote
from typing import Any

import orjson

from daemon.admin import schemas
from daemon.core.event_types import EVENT_TYPES, nearest, takes_any
from daemon.core.model.attempts import Answer, Attempted
from daemon.core.model.replays import Replay
from daemon.core.model.secrets import HIDDEN
from daemon.core.model.webhooks import Settings, WebhookEntry
from daemon.core.wire import body as wire_body
from daemon.core.wire import signing
from daemon.secrets.credentials import header_members
from daemon.store.attempts import Attempt, AttemptInFull

NOT_COMMON = object()
LONGEST_BODY = 256 * 1024
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
        "event_types": None if settings.event_types is None else _texts(settings.event_types),
        "event_filters": spliced(settings.event_filters),
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
    in_filters = _object(settings.event_filters).get("event_types")
    named = {
        "eventTypes": _texts(settings.event_types or ()),
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


def _request_of(found: AttemptInFull, head: object) -> schemas.SentRequest | None:
    """None for what was never sent: it is still to come, or its target was refused."""
    if not isinstance(head, str):
        return None
    attempt = found.attempt
    body = wire_body.body_of(
        attempt.event_id, attempt.event_type, found.event_created_at, found.data
    )
    try:
        return sent_request(head, body, scheme=_scheme_of(found.endpoint_url))
    except (ValueError, LookupError):  # a trace that is none of ours
        return None


def _response_of(found: AttemptInFull) -> schemas.ReceivedResponse | None:
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
    attempted: Attempted, body: bytes
) -> tuple[schemas.SentRequest | None, schemas.ReceivedResponse | None, schemas.Timing]:
    """What a test shows of itself, whether it was taken or not."""
    outcome, request, stages = attempted.outcome, None, {}
    if outcome.trace is not None:
        scheme = _scheme_of(attempted.claim.endpoint_url)
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
    headers = None if custom_headers is None else header_members(custom_headers)
    return None if headers is None else dict.fromkeys(headers, HIDDEN)


def spliced(text: str | None) -> orjson.Fragment | str | None:
    """
    JSON text to stand in an answer digit for digit.

    What common readers refuse, numbers beyond doubles or deep nests, stands there as a text, or
    one such row would make a whole list unreadable.
    """
    if text is None:
        return None
    return text if _json(text) is NOT_COMMON else orjson.Fragment(text)


def _object(text: str | None) -> dict[str, Any]:
    """The members of a column that the application may have filled; none of what is no object."""
    value = None if text is None else _json(text)
    return value if isinstance(value, dict) else {}


def _json(text: str) -> object:
    try:
        value: object = orjson.loads(text)
        orjson.dumps(value)  # the depth that it gives up at leaves readers room for the rest
    except (ValueError, TypeError):
        return NOT_COMMON
    return value


def _texts(values: Iterable[object]) -> list[str]:
    """An array of PostgreSQL may hold NULLs, and arrays."""
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _texts(value)
    return found
