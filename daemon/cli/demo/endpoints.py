"""The sample receivers: they verify each request, and answer as their webhook's rule says."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from daemon.cli.demo.fixtures import SampleWebhook
from daemon.cli.receiver.delivery import read_delivery
from daemon.cli.receiver.signature_check import SignatureCheck, check_signatures

# Accepts everything, for webhooks that people create in the console.
OPEN_PATH = "/yours"
# What endpoints answer that fail.
FAILURES = {
    500: "out of disk space",
    502: "the server behind this one does not answer",
    503: "overloaded: try again later",
}


@dataclass(frozen=True, slots=True)
class ReceivedAttempt:
    """One request to a sample endpoint; `latency_seconds` is known for first attempts."""

    webhook: SampleWebhook
    event_type: str
    attempt: int
    signature: SignatureCheck
    status: int
    latency_seconds: float | None


class Endpoints:
    """The endpoints of all webhooks; each request is passed to `on_attempt` before its answer."""

    def __init__(
        self, webhooks: Iterable[SampleWebhook], on_attempt: Callable[[ReceivedAttempt], None]
    ) -> None:
        self._webhooks = {webhook.path: webhook for webhook in webhooks}
        self._counters = {path: _AttemptCounter() for path in self._webhooks}
        self._published_at: dict[str, float] = {}
        self._on_attempt = on_attempt

    def expect(self, event_id: str) -> None:
        """Start measuring the latency of an event that is about to be published."""
        self._published_at[event_id] = time.perf_counter()

    async def receive(self, request: web.Request) -> web.Response:
        """Handle one request to any endpoint."""
        began = time.perf_counter()
        delivery = await read_delivery(request)
        if delivery.path == OPEN_PATH:
            return web.Response()
        webhook = self._webhooks.get(delivery.path)
        if webhook is None or request.method != "POST":
            return web.Response(status=404)
        event_number, attempt = self._counters[webhook.path].count(delivery.event_id)
        published_at = self._published_at.get(delivery.event_id)
        received = ReceivedAttempt(
            webhook,
            delivery.event_type,
            attempt,
            check_signatures(
                delivery.body,
                delivery.headers,
                [webhook.secret],
                now=delivery.received_at.timestamp(),
            ),
            webhook.status_rule(event_number, attempt),
            began - published_at if published_at is not None and attempt == 1 else None,
        )
        self._on_attempt(received)
        failure = FAILURES.get(received.status)
        if failure is None:
            return web.Response(status=received.status)
        return web.json_response({"error": failure}, status=received.status)


class _AttemptCounter:
    """Numbers the events of one endpoint, and the attempts of each event; both from 1."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._attempts: Counter[str] = Counter()

    def count(self, event_id: str) -> tuple[int, int]:
        """Return the number of this event and of this attempt."""
        self._attempts[event_id] += 1
        number = self._numbers.setdefault(event_id, len(self._numbers) + 1)
        return number, self._attempts[event_id]
