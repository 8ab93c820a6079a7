"""
Spans for OpenTelemetry, exported by a thread of their own; needs the extra `otel`.

The rule: nothing waits for the collector. Spans that do not fit in the queue are dropped.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import structlog

from daemon.runtime.metrics import Metrics
from daemon.runtime.version import program_version

log = structlog.get_logger()

SPANS_WAITING = 8192
SPANS_AT_ONCE = 512
EXPORT_EVERY_MS = 1000
EXPORT_SECONDS = 10.0  # for one batch, with its repetitions
CLOSE_SECONDS = 2.0


class Tracing:
    """The tracer of one daemon; create it inside the running loop, and close it there."""

    def __init__(self, endpoint: str, *, sample_percent: int, metrics: Metrics) -> None:
        # Imported here: only daemons that trace have the packages, and pay for them.
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased  # noqa: PLC0415

        # It would log each failed export with its repetitions; `_Export` does it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = trace_exporter.OTLPSpanExporter(endpoint, timeout=EXPORT_SECONDS)
        self._provider = TracerProvider(
            resource=Resource.create(
                {"service.name": "webhookd", "service.version": program_version()}
            ),
            sampler=TraceIdRatioBased(sample_percent / 100),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                cast("Any", _Export(exporter, metrics)),
                max_queue_size=SPANS_WAITING,
                schedule_delay_millis=EXPORT_EVERY_MS,
                max_export_batch_size=SPANS_AT_ONCE,
            )
        )
        self.tracer = self._provider.get_tracer("webhookd", program_version())

    async def close(self) -> None:
        """Export what waits, for two seconds at most."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            with suppress(Exception):  # the spans are lost, and nothing else
                self._provider.shutdown()
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=shut_down, daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await closed.wait()


class _Export:
    """An exporter that counts spans, and logs when the collector is lost and found."""

    def __init__(self, exporter: Any, metrics: Metrics) -> None:
        self._exporter = exporter
        self._spans = metrics.attempts.spans
        self._loop = asyncio.get_running_loop()
        self._is_lost = False

    def export(self, spans: Sequence[Any]) -> Any:
        """Export a batch; called by the exporting thread."""
        result = self._exporter.export(spans)
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._note, len(spans), result.name == "SUCCESS")
        return result

    def _note(self, count: int, is_exported: bool) -> None:
        self._spans["exported" if is_exported else "lost"].inc(count)
        if is_exported and self._is_lost:
            log.info("tracing.collector_found")
        elif not is_exported and not self._is_lost:
            log.warning("tracing.collector_lost", lost_spans=count)
        self._is_lost = not is_exported

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, *_: object) -> bool:
        """Do nothing: what was given to it is exported already."""
        return True
