"""The endpoints for probes and scrapers: `/healthz`, `/readyz` and `/metrics`."""

import time
from collections.abc import Mapping

import orjson
from aiohttp import web

from daemon.admin.server.readiness import Reporting
from daemon.runtime.metrics import Metrics

# They reveal nothing private, so that they need neither a token nor an allowed Host.
PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


class MetricsPage:
    """
    Renders the metrics, at most a tenth of the time.

    Requests need no token: in between the page is served as it was.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._page = b""
        self._fresh_until = 0.0

    def render(self) -> bytes:
        """Return the page as it is, or was some milliseconds ago."""
        began = time.monotonic()
        if began >= self._fresh_until:
            self._page = self._metrics.render()
            now = time.monotonic()
            self._fresh_until = now + 9 * (now - began)
        return self._page


def add_routes(app: web.Application, *, readiness: Reporting, metrics: Metrics) -> None:
    """Serve the three endpoints on `app`."""

    async def healthz(_: web.Request) -> web.Response:
        return _json({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        report = readiness.report()
        status = "ready" if report.ready else "unready"
        return _json({"status": status, "checks": report.checks}, 200 if report.ready else 503)

    metrics.follow_checks(lambda: _verdicts(readiness))
    page = MetricsPage(metrics)

    async def render_metrics(_: web.Request) -> web.Response:
        return web.Response(body=page.render(), headers={"Content-Type": metrics.content_type})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", render_metrics)


def _verdicts(readiness: Reporting) -> tuple[bool, Mapping[str, bool]]:
    report = readiness.report()
    return report.ready, report.verdicts()


def _json(data: object, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    body = orjson.dumps(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
