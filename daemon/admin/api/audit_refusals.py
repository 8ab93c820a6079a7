"""Records requests that were refused for who asked: a wrong token, a lack of rights, a limit."""

from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.admin.api.audit import AuditLog
from daemon.admin.api.operation import Operation
from daemon.admin.api.problems import Problem

REFUSALS = frozenset({401, 403, 429})


def record_refusals(audit_log: AuditLog, operations: Sequence[Operation]) -> Middleware:
    """Make the middleware that records a 401, 403 or 429 of the API; a missing token is none."""
    by_route = {(each.method, each.path): each for each in operations}

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            operation = by_route.get((request.method, _pattern(request)))
            if operation is not None and _is_refusal(problem, request):
                audit_log.refuse(
                    replace(
                        audit_log.record_of(request, operation.operation_id),
                        object_type=operation.id_of if operation.has_id else None,
                        status=problem.status,
                    )
                )
            raise

    return record


def _is_refusal(problem: Problem, request: web.Request) -> bool:
    if problem.status == 401:
        return "Authorization" in request.headers
    return problem.status in REFUSALS


def _pattern(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
