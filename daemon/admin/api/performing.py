"""Performs an operation for a validated request, and records what it changed."""

import asyncio
from dataclasses import replace

from daemon.admin.api.audit import AuditLog
from daemon.admin.api.operation import ApiRequest, ApiResponse, Handler, Route
from daemon.admin.api.problems import Problem
from daemon.core.errors import DatabaseUnavailableError, PostponedError

CLIENT_GONE = 499  # recorded of a request whose client disconnected before the response


async def perform(route: Route, request: ApiRequest, audit_log: AuditLog) -> ApiResponse:
    """Handle a request. Raises Problem as the operation does."""
    if not route.operation.changes(request.body):
        return await route.handler(request)
    return await _audited(route.handler, request, audit_log)


async def _audited(handler: Handler, request: ApiRequest, audit_log: AuditLog) -> ApiResponse:
    """
    Handle a request that changes something, and record it.

    Raises Problem as the operation does, and 429 for a tenant that has made the changes of a day.
    """
    audit_log.changes.require_room(request.audit.record)
    try:
        response = await handler(request)
    except Problem as problem:
        if problem.performed:
            await audit_log.finish(request.audit, status=problem.status)
        elif problem.status >= 500:
            audit_log.refuse(replace(request.audit.record, status=problem.status))
        raise
    except BaseException as error:
        # Changes until then are unknown here: a client that disconnects may have made one.
        audit_log.changes.note(request.audit.record)
        audit_log.refuse(replace(request.audit.record, status=_status_of(error)))
        raise
    await audit_log.finish(request.audit, status=response.status)
    return response


def _status_of(error: BaseException) -> int:
    """The status with which the middlewares answer this error."""
    if isinstance(error, asyncio.CancelledError):
        return CLIENT_GONE
    return 503 if isinstance(error, DatabaseUnavailableError | PostponedError) else 500
