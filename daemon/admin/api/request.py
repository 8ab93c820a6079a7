"""The parts of a request, validated against the declaration of its operation."""

from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ValidationError

from daemon.admin.api.auth import Access, Caller
from daemon.admin.api.operation import ApiRequest, Operation
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.api.request_body import read_body
from daemon.admin.api.validation import query_problem
from daemon.core.model.ids import TenantId
from daemon.core.wire.event_ids import parse_event_id

NIL = UUID(int=0)


async def read_request(operation: Operation, request: web.Request, access: Access) -> ApiRequest:
    """
    Authenticate and validate a request.

    Raises Problem for the first part that is wrong: the token, the tenant, the id, the query or
    the body.
    """
    caller = access.authenticate(request)
    return ApiRequest(
        caller=caller,
        tenant_id=_tenant_for(operation, caller),
        id=_id_in_path(operation, request),
        query=_query(operation, request),
        body=await read_body(operation, request),
    )


def _tenant_for(operation: Operation, caller: Caller) -> TenantId:
    if operation.operator_only:
        if not caller.is_operator:
            raise Problem(403, "this operation requires an operator token")
        return TenantId(NIL)
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
