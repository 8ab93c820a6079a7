"""
One attempt from claim to judgement: sign, send, judge.

What is wrong with the webhook itself is an outcome like any other, so that one customer's bad
setting is told to that customer and stops nobody else.
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from daemon import payload, signing
from daemon.metrics import Metrics
from daemon.model import Attempted, Claim, Failure, Fault, Outcome, Request
from daemon.sender import Sender
from daemon.verdict import judge


class Deliverer:
    """Makes attempts and hands each to `settle`, which must not wait."""

    def __init__(
        self,
        sender: Sender,
        *,
        schedule: Sequence[timedelta],
        settle: Callable[[Attempted], None],
        metrics: Metrics,
    ) -> None:
        self._sender = sender
        self._schedule = tuple(schedule)
        self._settle = settle
        self._metrics = metrics

    async def make(self, claim: Claim) -> Attempted:
        """Make the attempt. When cancelled nothing is settled: the lease is all that is left."""
        now = time.time()
        if claim.attempt == 1:
            self._metrics.observe_commit_to_send(now - claim.event_created_at.timestamp())
        prepared = request_for(claim, timestamp=int(now))
        if isinstance(prepared, Failure):
            signature, outcome = None, Outcome(prepared, took_ms=0)
        else:
            request, signature = prepared
            outcome = await self._sender.send(request)
        verdict = judge(
            claim.attempt,
            outcome,
            self._schedule,
            roll=random.random(),  # noqa: S311  jitter keeps no secret
            now=datetime.now(UTC),
        )
        attempted = Attempted(claim, outcome, verdict, signature)
        self._settle(attempted)
        return attempted


def request_for(claim: Claim, *, timestamp: int) -> tuple[Request, str] | Failure:
    """The signed request of this attempt and its signature, or why there can be none."""
    if not claim.secret:
        return Failure(Fault.UNUSABLE, "the webhook has no secret to sign with")
    body = payload.body_of(claim.event_id, claim.event_type, claim.event_created_at, claim.data)
    headers = signing.headers_for(
        body=body,
        message_id=signing.message_id_of(claim.event_id),
        event_type=claim.event_type,
        delivery_id=claim.delivery_id,
        timestamp=timestamp,
        secret=claim.secret,
        previous_secret=claim.previous_secret,
    )
    signature = dict(headers)["X-PenguinMails-Signature"]
    return Request(claim.endpoint_url, headers, body), signature
