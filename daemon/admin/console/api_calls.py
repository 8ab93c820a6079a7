"""
Calls of the API's operations from the console's pages, in this process.

The rule: a page knows and does nothing that the API would not tell and do for the same caller. The
same models validate, the same handlers answer, and the same audit records.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ValidationError

from daemon.admin.api.audit import AuditLog, OnWrite, RequestAudit
from daemon.admin.api.auth import Access, Caller
from daemon.admin.api.operation import ApiRequest, Operation, Route
from daemon.admin.api.performing import perform
from daemon.admin.api.request import NIL, check_scope, check_visible, tenant_for
from daemon.admin.api.request_body import parse_body
from daemon.admin.api.validation import query_problem


class ApiCalls:
    """The operations by their ids."""

    def __init__(self, routes: Sequence[Route], access: Access, audit_log: AuditLog) -> None:
        self._routes = {each.operation.operation_id: each for each in routes}
        self._access = access
        self._audit_log = audit_log

    async def call(
        self,
        operation_id: str,
        request: web.Request,
        caller: Caller,
        *,
        object_id: UUID = NIL,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        on_write: OnWrite | None = None,
    ) -> Any:
        """
        Perform an operation for `caller`; returns the model of its response, None for an empty one.

        `query` and `body` have the names of the API. `on_write` is called in the transaction of a
        change. Raises Problem as the API does.
        """
        route = self._routes[operation_id]
        operation = route.operation
        given, asked = _body(operation, body), _query(operation, query)
        check_scope(caller, changes=operation.changes(given))
        await check_visible(self._access, caller, operation.id_of, object_id, parts=(given, asked))
        record = replace(
            self._audit_log.record_of(request, operation_id),
            object_type=operation.id_of,
            object_id=object_id if operation.has_id else None,
            status=max(operation.responses),
            tenant_id=caller.tenant_id,
        )
        audit = RequestAudit(record)
        audit.on_write = on_write
        api_request = ApiRequest(
            caller,
            tenant_for(operation, caller),
            object_id,
            given,
            asked,
            audit,
        )
        return (await perform(route, api_request, self._audit_log)).body


def _query(operation: Operation, given: Mapping[str, str] | None) -> BaseModel | None:
    if operation.query is None:
        return None
    try:
        return operation.query.model_validate(dict(given or {}))
    except ValidationError as invalid:
        raise query_problem(invalid) from None


def _body(operation: Operation, given: Mapping[str, object] | None) -> BaseModel | None:
    model = operation.body
    if model is None:
        return None
    # orjson has no numbers beyond 64 bits.
    return parse_body(json.dumps(dict(given or {})).encode(), model)
