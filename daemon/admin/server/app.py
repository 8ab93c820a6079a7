"""The HTTP application: health and metrics for everyone, the API for callers with a token."""

from collections.abc import Sequence

import orjson
from aiohttp import web

from daemon.admin.api import openapi, reference_page
from daemon.admin.api.auth import Access
from daemon.admin.api.operation import Route
from daemon.admin.api.routing import add_routes
from daemon.admin.server import connection_limits, health_routes, middlewares
from daemon.admin.server.readiness import Readiness
from daemon.runtime.metrics import Metrics

MAX_BODY_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 16 * 1024  # of the request line, and of each header

# No browser may show a response in another site's frame or guess its type.
RESPONSE_HEADERS = {
    "Server": "webhookd",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def make_app(*, readiness: Readiness, metrics: Metrics) -> web.Application:
    """Make an application that serves health, readiness and metrics."""
    app = web.Application(
        middlewares=[
            connection_limits.end_head_deadline,
            middlewares.log_requests,
            middlewares.answer_errors,
        ],
        client_max_size=MAX_BODY_BYTES,
        handler_args={
            "max_line_size": MAX_HEADER_BYTES,
            "max_field_size": MAX_HEADER_BYTES,
            "auto_decompress": False,
        },
    )
    app.on_response_prepare.append(_add_headers)
    health_routes.add_routes(app, readiness=readiness, metrics=metrics)
    return app


def add_api(app: web.Application, routes: Sequence[Route], access: Access) -> None:
    """Add the API, its OpenAPI document and its reference page."""
    app.middlewares.append(middlewares.host_check(access))
    add_routes(app, routes, access)
    document = openapi.document([route.operation for route in routes])
    json_body, page = orjson.dumps(document), reference_page.render(document)

    async def openapi_document(_: web.Request) -> web.Response:
        return web.Response(body=json_body, content_type="application/json")

    async def reference(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": reference_page.CONTENT_SECURITY_POLICY}
        return web.Response(text=page, content_type="text/html", headers=headers)

    app.router.add_get("/openapi.json", openapi_document)
    app.router.add_get("/docs", reference)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in RESPONSE_HEADERS.items():
        response.headers.setdefault(name, value)
