"""
One attempt from claim to judgement: sign, send, judge.

What is wrong with the webhook itself is an outcome like any other, so that one customer's bad
setting is told to that customer and stops nobody else.
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from daemon.core.model.attempts import AttemptResult, Claim, Failure, Outcome, Request
from daemon.core.model.secrets import Credentials
from daemon.core.outcomes.verdict import judge
from daemon.core.wire import body as wire_body
from daemon.core.wire import signing
from daemon.core.wire.event_ids import public_event_id
from daemon.egress.client import WebhookClient
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.secrets.credentials import open_credentials
from daemon.secrets.redaction import redact
from daemon.secrets.vault import Vault


class AttemptMaker:
    """Makes attempts and hands each to `settle`, which must not wait."""

    def __init__(
        self,
        sender: WebhookClient,
        vault: Vault,
        *,
        schedule: Sequence[timedelta],
        settle: Callable[[AttemptResult], None],
        metrics: Metrics,
    ) -> None:
        self._sender = sender
        self._vault = vault
        self._schedule = tuple(schedule)
        self._settle = settle
        self._metrics = metrics
        self._apart = Offload()

    async def make(self, claim: Claim) -> AttemptResult:
        """
        Make the attempt. When cancelled nothing is settled: the lease is all that is left.

        Raises PostponedError when it cannot be made for a reason that is ours.
        """
        if claim.attempt == 1 and not claim.replayed:
            age = time.time() - claim.event_created_at.timestamp()
            self._metrics.attempts.observe_commit_to_send(age)
        attempted = await self.try_out(claim)
        self._settle(attempted)
        return attempted

    async def try_out(self, claim: Claim, *, message_id: str | None = None) -> AttemptResult:
        """
        The same, but that nothing comes of it: it is neither stored nor counted.

        `message_id` replaces the event's own. Raises PostponedError.
        """
        credentials = open_credentials(claim.secrets, self._vault)
        if isinstance(credentials, Failure):
            signature, outcome = None, Outcome(credentials, took_ms=0)
        else:
            request, signature = await self._apart.run(
                partial(request_for, claim, credentials, message_id=message_id),
                size=len(claim.data or ""),
            )
            outcome = redact(await self._sender.send(request), credentials)
        verdict = judge(
            claim.attempt,
            outcome,
            self._schedule,
            roll=random.random(),  # noqa: S311  jitter keeps no secret
            now=datetime.now(UTC),
        )
        return AttemptResult(claim, outcome, verdict, signature)


def request_for(
    claim: Claim,
    credentials: Credentials,
    *,
    timestamp: int | None = None,
    message_id: str | None = None,
) -> tuple[Request, str]:
    """The signed request of this attempt, and its signature; `timestamp` is now unless given."""
    message_id = message_id or public_event_id(claim.event_id)
    body = wire_body.event_body(
        *(claim.event_id, claim.event_type, claim.event_created_at, claim.data),
        public_id=message_id,
    )
    headers = signing.request_headers(
        body=body,
        message_id=message_id,
        event_type=claim.event_type,
        delivery_id=claim.delivery_id,
        timestamp=int(time.time()) if timestamp is None else timestamp,
        secret=credentials.secret,
        previous_secret=credentials.previous_secret,
    )
    signature = dict(headers)["X-PenguinMails-Signature"]
    request = Request(claim.endpoint_url, headers, body, credentials.headers, credentials.client)
    return request, signature
