"""
Cross-origin requests: which web pages may call the API from a browser (Fetch standard, CORS).

Origins are compared exactly, and only those of `admin.allowed_origins` may read a response. The
token is a header that a page sends itself: credentials of the browser, such as cookies, are never
allowed.
"""

from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.admin.api.problems import Problem

ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Tenant-ID"
EXPOSED_HEADERS = "Idempotency-Replayed, Retry-After, WWW-Authenticate"
MAX_AGE_SECONDS = 600


def allow_origins(app: web.Application, origins: Collection[str]) -> Middleware:
    """
    Let pages of these origins read every response of the API, refusals included.

    Returns the middleware that answers their preflight requests.
    """
    allowed = frozenset(origins)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        if allowed and _is_api(request):
            response.headers.add("Vary", "Origin")  # for caches, whatever the response is
            if request.headers.get("Origin") in allowed:
                response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
                response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS

    @web.middleware
    async def answer_preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
        methods = _methods_of_path(request)
        if not methods or "Access-Control-Request-Method" not in request.headers:
            return await handler(request)
        if request.headers.get("Origin") not in allowed:
            raise Problem(403, "the Origin header is not one of admin.allowed_origins")
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
                "Access-Control-Allow-Headers": ALLOWED_HEADERS,
                "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
            },
        )

    app.on_response_prepare.append(add_headers)
    return answer_preflight


def _is_api(request: web.Request) -> bool:
    return request.path.startswith("/api/") or request.path in ("/openapi.json", "/asyncapi.json")


def _methods_of_path(request: web.Request) -> Collection[str]:
    """The methods that the API has at the path of an OPTIONS request; none for any other."""
    refused = request.match_info.http_exception
    if request.method != "OPTIONS" or not _is_api(request):
        return ()
    return refused.allowed_methods if isinstance(refused, web.HTTPMethodNotAllowed) else ()
