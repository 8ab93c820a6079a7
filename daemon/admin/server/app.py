"""The HTTP application: health and metrics for everybody, the API for those with a token."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.admin.api import openapi, reference_page
from daemon.admin.api.auth import Access
from daemon.admin.api.operation import Operation
from daemon.admin.api.problems import route_of, telling_problems
from daemon.admin.api.routing import serve as serve_operations
from daemon.admin.server import connection_limits
from daemon.admin.server.listen import SILENCE
from daemon.admin.server.readiness import Readiness
from daemon.runtime.metrics import Metrics

log = structlog.get_logger()

LARGEST_BODY = 1024 * 1024

SILENCE.setLevel(logging.CRITICAL + 1)

# Probes and scrapers come by whatever name; they learn nothing that is private.
OPEN_TO_ALL = {"/healthz", "/readyz", "/metrics"}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Nothing of ours is ever to be shown inside somebody else's page, or taken for another type.
EVERYWHERE = {
    "Server": "webhookd",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def make_app(*, readiness: Readiness, metrics: Metrics) -> web.Application:
    """What is served whoever asks: health, readiness and metrics."""
    app = web.Application(
        middlewares=[connection_limits.entering, noting, telling_problems],
        client_max_size=LARGEST_BODY,
        handler_args={
            "max_line_size": 16 * 1024,
            "max_field_size": 16 * 1024,
            "auto_decompress": False,
        },
    )
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz_with(readiness))
    app.router.add_get("/metrics", _metrics_with(metrics))
    return app


def add_api(app: web.Application, operations: Sequence[Operation], access: Access) -> None:
    """The API, its description, and that in a form for people."""
    app.middlewares.append(_guarding(access))
    serve_operations(app, operations, access)
    described = openapi.document(operations)
    as_json, as_page = orjson.dumps(described), reference_page.reference(described)

    async def description(_: web.Request) -> web.Response:
        return web.Response(body=as_json, content_type="application/json")

    async def reference(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": reference_page.CONTENT_SECURITY_POLICY}
        return web.Response(text=as_page, content_type="text/html", headers=headers)

    app.router.add_get("/openapi.json", description)
    app.router.add_get("/docs", reference)


@web.middleware
async def noting(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A line for each request to the API, with its route: the path may hold what is private."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    began = time.perf_counter()
    response = await handler(request)
    log.info(
        "api.answered",
        method=request.method,
        route=route_of(request),
        status=response.status,
        took_ms=round((time.perf_counter() - began) * 1000),
    )
    return response


def _guarding(access: Access) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN_TO_ALL:
            access.check_host(request)
        return await handler(request)

    return guard


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in EVERYWHERE.items():
        response.headers.setdefault(name, value)


async def _healthz(_: web.Request) -> web.Response:
    return _json({"status": "alive"})


def _readyz_with(readiness: Readiness) -> Answer:
    async def readyz(_: web.Request) -> web.Response:
        report = readiness.report()
        status = "ready" if report.ready else "unready"
        return _json({"status": status, "checks": report.checks}, 200 if report.ready else 503)

    return readyz


def _metrics_with(metrics: Metrics) -> Answer:
    async def render(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.content_type})

    return render


def _json(data: object, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    body = orjson.dumps(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
