"""
A span for each attempt, with OpenTelemetry's conventions for HTTP clients.

The rule: nothing of a URL but its host, and nothing of a body or a header, is in a span.
"""

from typing import Any
from urllib.parse import urlsplit

from daemon.core.model.attempts import AttemptResult, Claim, Failure, Response
from daemon.core.wire.url_hosts import host_of

HEADER = "traceparent"  # W3C Trace Context


class AttemptSpan:
    """The span of an attempt that was begun; `headers` are sent with its request."""

    def __init__(self, span: Any, *, propagate: bool) -> None:
        self._span = span
        self.headers = ((HEADER, _traceparent(span)),) if propagate else ()

    def ended(self, result: AttemptResult | Exception) -> None:
        """Record what came of the attempt; an exception is a fault of our own."""
        span = self._span
        if isinstance(result, Exception):
            span.set_attribute("error.type", type(result).__name__)
            _set_error(span, "postponed")
        else:
            verdict = result.verdict
            match result.outcome.result:
                case Response(status):
                    span.set_attribute("http.response.status_code", status)
                    error = None if verdict.delivered else str(status)
                case Failure(kind):
                    error = kind.value
            if error is not None:
                span.set_attribute("error.type", error)
                _set_error(span, "" if verdict.retry_in else "exhausted")
        span.end()


class AttemptSpans:
    """Begins spans; `propagate` has requests carry their ids."""

    def __init__(self, tracer: Any, *, propagate: bool) -> None:
        self._tracer = tracer
        self._propagate = propagate

    def begin(self, claim: Claim) -> AttemptSpan:
        """Begin the span of an attempt, in a trace of its own."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415  an optional package

        attributes: dict[str, str | int] = {
            "http.request.method": "POST",
            "http.request.resend_count": claim.place - 1,
            "url.scheme": "https" if claim.endpoint_url[:6].lower() == "https:" else "http",
            "webhookd.attempt": claim.attempt,
            "webhookd.delivery.id": str(claim.delivery_id),
            "webhookd.event.id": str(claim.event_id),
            "webhookd.event.type": claim.event_type,
            "webhookd.tenant.id": str(claim.tenant_id),
            "webhookd.webhook.id": str(claim.webhook_id),
        }
        if (host := host_of(claim.endpoint_url)) is not None:
            attributes["server.address"] = host
            attributes["server.port"] = _port(claim.endpoint_url)
        span = self._tracer.start_span("POST", kind=SpanKind.CLIENT, attributes=attributes)
        return AttemptSpan(span, propagate=self._propagate)


def _port(url: str) -> int:
    try:
        parts = urlsplit(url)
        return parts.port or (443 if parts.scheme.lower() == "https" else 80)
    except ValueError:
        return 0


def _traceparent(span: Any) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _set_error(span: Any, description: str) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  an optional package

    span.set_status(Status(StatusCode.ERROR, description or None))
