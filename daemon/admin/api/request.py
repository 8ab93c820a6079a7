"""The parts of a request, validated against the declaration of its operation."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ValidationError

from daemon.admin.api.audit import AuditLog, RequestAudit
from daemon.admin.api.auth import Access, Caller
from daemon.admin.api.operation import ApiRequest, Operation
from daemon.admin.api.problems import Problem, Subject, not_found
from daemon.admin.api.request_body import read_body
from daemon.admin.api.validation import query_problem
from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId
from daemon.core.wire.event_ids import parse_event_id

NIL = UUID(int=0)


async def read_request(
    operation: Operation, request: web.Request, *, access: Access, audit_log: AuditLog
) -> ApiRequest:
    """
    Authenticate and validate a request.

    Raises Problem for the first part that is wrong: the token, its scope, the tenant, the id, the
    query or the body, and at last for a webhook that the caller does not see.
    """
    caller = await access.authenticate(request)
    if not operation.dry_run:
        check_scope(caller, changes=not operation.may_only_read)
    tenant_id = tenant_for(operation, caller)
    object_id = _id_in_path(operation, request)
    query = _query(operation, request)
    body = await read_body(operation, request)
    check_scope(caller, changes=operation.changes(body))
    await check_visible(access, caller, operation.id_of, object_id, parts=(body, query))
    record = replace(
        audit_log.record_of(request, operation.operation_id),
        object_type=operation.id_of,
        object_id=object_id if operation.has_id else None,
        status=max(operation.responses),  # once the change is made
    )
    return ApiRequest(caller, tenant_id, object_id, body, query, RequestAudit(record))


def check_scope(caller: Caller, *, changes: bool) -> None:
    """Raises Problem (403) for a change by a token that may only read."""
    if changes and caller.scope is Scope.READ:
        raise Problem(403, "the token's scope is read: it permits GET requests and dry runs only")


async def check_visible(
    access: Access,
    caller: Caller,
    kind: Subject,
    object_id: UUID,
    *,
    parts: Iterable[BaseModel | None],
) -> None:
    """
    Raises Problem (404) if a request names an object that the caller does not see.

    `parts` are its body and its query. Called last: about a hidden object, everything is answered
    as about an absent one.
    """
    await _check_visible(access, caller, kind, object_id)
    for part in parts:
        await _check_visible(access, caller, "webhook", getattr(part, "webhook_id", None) or NIL)


async def _check_visible(access: Access, caller: Caller, kind: Subject, object_id: UUID) -> None:
    if object_id != NIL and await access.hides(caller, kind, object_id):
        raise not_found(kind)


def tenant_for(operation: Operation, caller: Caller) -> TenantId:
    """
    The tenant that an operation is about; the nil UUID if it is about none.

    Raises Problem: 400 if an operator names none, 403 for an operation of operators.
    """
    if operation.operator_only and not caller.is_operator:
        raise Problem(403, "this operation requires an operator token")
    if operation.operator_only or (operation.tenant_optional and caller.is_operator):
        return caller.tenant_id or TenantId(NIL)
    if caller.tenant_id is None:
        raise Problem(400, "an operator token needs a tenant: send its id in X-Tenant-ID")
    return caller.tenant_id


def _id_in_path(operation: Operation, request: web.Request) -> UUID:
    if not operation.has_id:
        return NIL
    text = request.match_info["id"]
    try:
        # An event's id may also have the form that receivers see.
        return parse_event_id(text) if operation.id_of == "event" else UUID(text)
    except ValueError:
        raise not_found(operation.id_of) from None


def _query(operation: Operation, request: web.Request) -> BaseModel | None:
    parameters = dict(request.query)
    if len(parameters) < len(request.query):
        raise Problem(422, "a query parameter is repeated: send each one once")
    if operation.query is None:
        if parameters:
            raise Problem(422, "this operation takes no query parameters")
        return None
    try:
        return operation.query.model_validate(parameters)
    except ValidationError as invalid:
        raise query_problem(invalid) from None
