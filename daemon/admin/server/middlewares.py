"""Middlewares of every request: a log line, errors translated into problems, a Host check."""

import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.admin.api.auth import Access
from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.admin.server.health_routes import PUBLIC_PATHS
from daemon.core.errors import DatabaseBusyError, DatabaseUnavailableError, PostponedError

log = structlog.get_logger()


@web.middleware
async def log_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log a line per API request."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    began = time.perf_counter()
    response = await handler(request)
    log.info(
        "request.answered",
        method=request.method,
        route=_route_pattern(request),
        status=response.status,
        took_ms=round((time.perf_counter() - began) * 1000),
    )
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every exception with a problem document; this is the edge of a request."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        return _problem_of(error).response()
    except PostponedError as error:
        sentence = f"this cannot be done now, try again later: {error}"
        return Problem(503, sentence, headers=RETRY_SOON).response()
    except DatabaseBusyError as error:
        log.warning("request.database_busy", reason=str(error))
        sentence = "locked by another transaction: try again in a few seconds"
        return Problem(503, sentence, headers=RETRY_SOON).response()
    except DatabaseUnavailableError as error:
        log.warning("request.database_unavailable", reason=str(error))
        sentence = "the database is unavailable: try again in a few seconds"
        return Problem(503, sentence, headers=RETRY_SOON).response()
    except Exception:
        log.exception("request.failed", route=_route_pattern(request))
        return Problem(500, "internal error: see the daemon's log").response()


def host_check(access: Access) -> Middleware:
    """Make the middleware that refuses requests whose Host header is not allowed."""

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in PUBLIC_PATHS:
            access.check_host(request)
        return await handler(request)

    return check_host


def _problem_of(error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPNotFound():
            return Problem(404, "this path does not exist")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            sentence = f"{error.method} is not allowed on this path: use {allowed}"
            return Problem(405, sentence, headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return Problem(413, "the body is larger than 1 MiB")
        case _:
            return Problem(error.status, error.reason or "the request cannot be served")


def _route_pattern(request: web.Request) -> str:
    """The pattern of the route, because the path itself may contain private data."""
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical
