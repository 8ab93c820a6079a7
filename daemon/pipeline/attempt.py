"""
One attempt, from a claim to its verdict: sign, send, judge.

A fault of the webhook itself, such as an unusable URL or header, is an outcome like any other: its
owner sees it on the attempt, and the deliveries of other webhooks go on.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from daemon.core.errors import ThreadBusyError
from daemon.core.model.attempts import (
    AttemptResult,
    Claim,
    Failure,
    FailureKind,
    Outcome,
    Request,
)
from daemon.core.model.secrets import Credentials
from daemon.core.outcomes.verdict import judge, success_of
from daemon.core.wire import signing
from daemon.core.wire.body import event_body, is_made_quickly, is_printed_at_once
from daemon.core.wire.body_size import too_large_message
from daemon.core.wire.event_ids import public_event_id
from daemon.egress.client import WebhookClient
from daemon.egress.kept_requests import KeptRequest
from daemon.pipeline.attempt_spans import AttemptSpan, AttemptSpans
from daemon.runtime.offload import Offload
from daemon.secrets.credentials import open_credentials
from daemon.secrets.encryption import Vault
from daemon.secrets.redaction import redact

# For the thread of large work: well within a claim's lease.
MOST_WAIT_SECONDS = 10.0
NO_SCHEDULES: Mapping[str, Sequence[timedelta]] = MappingProxyType({})
Headers: TypeAlias = tuple[tuple[str, str], ...]
NO_HEADERS: Headers = ()


class AttemptMaker:
    """
    Makes attempts. It stores nothing and counts nothing: the caller does, where it matters.

    `schedule` is that of webhooks which name none of the `schedules`. With `spans` each attempt has
    one.
    """

    def __init__(
        self,
        client: WebhookClient,
        vault: Vault,
        *,
        schedule: Sequence[timedelta],
        schedules: Mapping[str, Sequence[timedelta]] = NO_SCHEDULES,
        offload: Offload,
        max_body_bytes: int,
        spans: AttemptSpans | None = None,
    ) -> None:
        self._client = client
        self._vault = vault
        self._schedule = tuple(schedule)
        self._schedules = schedules
        self._offload = offload
        self._max_body_bytes = max_body_bytes
        self._spans = spans

    def host_of(self, url: str) -> str | None:
        """The address of this URL's host, as far as it was looked up lately; None if unknown."""
        return self._client.host_of(url)

    async def attempt(
        self, claim: Claim, *, public_id: str | None = None, unproven: bool = False
    ) -> AttemptResult:
        """
        Sign the claimed event, send it, and judge what came back.

        `public_id` replaces the event's own id in the body and the headers; test events have one.
        `unproven`: the endpoint has not shown that it is quick. Raises PostponedError when the
        attempt cannot be made for a reason that is ours.
        """
        if self._spans is not None:
            return await self._traced(claim, public_id, self._spans.begin(claim), unproven=unproven)
        outcome, signature = await self._send(claim, public_id, unproven=unproven)
        return self._judge(claim, outcome, signature)

    async def _traced(
        self, claim: Claim, public_id: str | None, span: AttemptSpan, *, unproven: bool
    ) -> AttemptResult:
        try:
            outcome, signature = await self._send(
                claim, public_id, headers=span.headers, unproven=unproven
            )
            result = self._judge(claim, outcome, signature)
        except Exception as error:
            span.ended(error)
            raise
        span.ended(result)
        return result

    def begin(
        self, claim: Claim, ended: Callable[[AttemptResult | Exception], None]
    ) -> KeptRequest | None:
        """
        Make a plain attempt, on a kept connection; `ended` gets what `attempt` returns or raises.

        Returns None, and does nothing, if that takes more than one request or more time.
        """
        if not claim.fetched or not is_made_quickly(claim.data):
            return None
        credentials = open_credentials(claim.secrets, self._vault)
        if isinstance(credentials, Failure):
            return None
        kept = self._client.take(claim.endpoint_url, credentials.client, claim.tenant_id)
        if kept is None:
            return None
        try:
            span = None if self._spans is None else self._spans.begin(claim)
            headers = NO_HEADERS if span is None else span.headers
            request, signature = signed_request(claim, credentials, headers=headers)
        except BaseException:
            kept[1].close()
            raise
        if len(request.body) > self._max_body_bytes:
            kept[1].close()
            return None
        if span is not None:
            ended = _with_span(span, ended)
        return self._client.begin(
            request, kept, partial(self._sent, claim, credentials, signature, ended)
        )

    def _sent(
        self,
        claim: Claim,
        credentials: Credentials,
        signature: str,
        ended: Callable[[AttemptResult | Exception], None],
        outcome: Outcome | Exception,
    ) -> None:
        if not isinstance(outcome, Outcome):
            ended(outcome)
            return
        try:
            result = self._judge(claim, redact(outcome, credentials), signature)
        except Exception as error:  # noqa: BLE001  the caller's to judge, like that of a task
            ended(error)
        else:
            ended(result)

    def _judge(self, claim: Claim, outcome: Outcome, signature: str | None) -> AttemptResult:
        verdict = success_of(outcome)  # that of most
        if verdict is None:
            options = claim.options
            verdict = judge(
                claim.place,
                outcome,
                schedule=self._schedules.get(options.retry_schedule or "", self._schedule),
                client_errors_final=options.client_errors_final,
                jitter=random.random(),  # noqa: S311  jitter need not be unpredictable
                now=datetime.now(UTC),
            )
        return AttemptResult(claim, outcome, verdict, signature)

    async def _send(
        self,
        claim: Claim,
        public_id: str | None,
        *,
        headers: Headers = NO_HEADERS,
        unproven: bool,
    ) -> tuple[Outcome, str | None]:
        if not claim.fetched:
            return self._too_large(claim.payload_bytes or 0), None
        credentials = open_credentials(claim.secrets, self._vault)
        if isinstance(credentials, Failure):
            return Outcome(credentials, took_ms=0), None
        sign = partial(signed_request, claim, credentials, public_id=public_id, headers=headers)
        if is_made_quickly(claim.data):
            request, signature = sign()
        else:
            request, signature = await self._sign_in_thread(sign, claim)
        if len(request.body) > self._max_body_bytes:
            return self._too_large(len(request.body)), None
        outcome = await self._client.send(request, unproven=unproven)
        return redact(outcome, credentials), signature

    async def _sign_in_thread(
        self, sign: Callable[[], tuple[Request, str]], claim: Claim
    ) -> tuple[Request, str]:
        """Raises ThreadBusyError after so long a wait that another daemon may have the attempt."""
        began, data = time.monotonic(), claim.data or ""
        # Most large bodies do not wait for the few that take seconds to print.
        signed = await self._offload.run_in_thread(
            lambda: sign() if is_printed_at_once(data) else None, owner=claim.tenant_id
        )
        if signed is None:
            signed = await self._offload.run_in_thread(sign, size=len(data), owner=claim.tenant_id)
        if time.monotonic() - began > MOST_WAIT_SECONDS:
            raise ThreadBusyError("this process is busy with large events")
        return signed

    def _too_large(self, size: int) -> Outcome:
        message = too_large_message(size, self._max_body_bytes)
        return Outcome(Failure(FailureKind.TOO_LARGE, message), took_ms=0)


def signed_request(
    claim: Claim,
    credentials: Credentials,
    *,
    timestamp: int | None = None,
    public_id: str | None = None,
    headers: Headers = NO_HEADERS,
) -> tuple[Request, str]:
    """
    Return the request of an attempt and the signature of its body.

    `timestamp` is in Unix seconds, the present time by default; `public_id` as in `attempt`. More
    `headers` are sent unless the webhook has its own of that name.
    """
    public_id = public_id or public_event_id(claim.event_id)
    body = event_body(
        *(claim.event_id, claim.event_type, claim.event_created_at, claim.data),
        public_id=public_id,
    )
    lines, signature = signing.header_lines(
        body=body,
        message_id=public_id,
        event_type=claim.event_type,
        delivery_id=claim.delivery_id,
        timestamp=int(time.time()) if timestamp is None else timestamp,
        secret=credentials.secret,
        previous_secret=credentials.previous_secret,
    )
    if headers:
        own = {name.lower() for name, _ in credentials.headers}
        lines += "".join(f"{name}: {text}\r\n" for name, text in headers if name not in own)
    request = Request(
        *(claim.endpoint_url, lines, body, credentials.headers, credentials.client),
        tenant_id=claim.tenant_id,
        timeout_seconds=claim.options.timeout_seconds,
    )
    return request, signature


def _with_span(
    span: AttemptSpan, ended: Callable[[AttemptResult | Exception], None]
) -> Callable[[AttemptResult | Exception], None]:
    def end_both(result: AttemptResult | Exception) -> None:
        span.ended(result)
        ended(result)

    return end_both
