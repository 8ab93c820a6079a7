"""The HTTP application of the admin port: health and metrics, which need no token."""

from aiohttp import web

from daemon.admin.server import (
    ambiguous_requests,
    connection_limits,
    health_routes,
    middlewares,
)
from daemon.admin.server.readiness import Reporting
from daemon.admin.server.unread_responses import UNREAD_RESPONSES, UnreadResponses
from daemon.runtime.metrics import Metrics

MAX_BODY_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 16 * 1024  # of the request line, and of each header
# Of a body, before a handler reads it; the limit on chunks, which cost most, follows from it.
READ_AHEAD_BYTES = 4096

# No browser may show a response in another site's frame or guess its type.
RESPONSE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def make_app(*, readiness: Reporting, metrics: Metrics) -> web.Application:
    """Make an application that serves health, readiness and metrics."""
    app = web.Application(
        middlewares=[
            middlewares.log_requests,
            connection_limits.limit_requests,
            ambiguous_requests.refuse_ambiguous,
            middlewares.answer_errors,
        ],
        client_max_size=MAX_BODY_BYTES,
        handler_args={
            "max_line_size": MAX_HEADER_BYTES,
            "max_field_size": MAX_HEADER_BYTES,
            "auto_decompress": False,
            "read_bufsize": READ_AHEAD_BYTES,
        },
    )
    app[UNREAD_RESPONSES] = UnreadResponses(metrics.admin.api_responses_dropped.inc)
    app.on_response_prepare.append(_add_headers)
    health_routes.add_routes(app, readiness=readiness, metrics=metrics)
    return app


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in RESPONSE_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "webhookd"  # not aiohttp's, which names versions
