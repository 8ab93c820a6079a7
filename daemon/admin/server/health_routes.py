"""The endpoints for probes and scrapers: `/healthz`, `/readyz` and `/metrics`."""

import orjson
from aiohttp import web

from daemon.admin.server.readiness import Readiness
from daemon.runtime.metrics import Metrics

# They reveal nothing private, so that they need neither a token nor an allowed Host.
PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


def add_routes(app: web.Application, *, readiness: Readiness, metrics: Metrics) -> None:
    """Serve the three endpoints on `app`."""

    async def healthz(_: web.Request) -> web.Response:
        return _json({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        report = readiness.report()
        status = "ready" if report.ready else "unready"
        return _json({"status": status, "checks": report.checks}, 200 if report.ready else 503)

    async def render_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.content_type})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", render_metrics)


def _json(data: object, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    body = orjson.dumps(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
