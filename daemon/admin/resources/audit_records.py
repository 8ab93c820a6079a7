"""Audit records: list."""

from dataclasses import dataclass
from functools import partial

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.resources.cursor import next_cursor, page_start
from daemon.admin.views.audit import audit_record_response
from daemon.store import audit
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class AuditRecords:
    """Operations on audit records."""

    database: Database

    @operation(
        "GET /api/audit",
        operation_id="listAuditRecords",
        tag="Audit",
        summary="List audit records",
        description=(
            "Who changed what, or was refused it; newest first. A tenant token sees the records of"
            " its tenant; an operator those of the tenant that X-Tenant-ID names, or all."
        ),
        query=schemas.AuditQuery,
        responses={200: ("A page of audit records.", schemas.AuditRecordList)},
        tenant_optional=True,
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown `before`."""
        query: schemas.AuditQuery = request.query
        tenant_id = request.caller.tenant_id
        selected = audit.AuditFilter(
            *(tenant_id, query.action, query.object_id, query.from_, query.to),
            for_operators=request.caller.is_operator,
        )
        async with self.database.connection() as db:
            before = await page_start(
                query.before,
                partial(audit.cursor_of, db, selected),
                absent="before: there is no audit record with this id",
            )
            found, following = await audit.list_records(
                db, selected, before=before, limit=query.limit
            )
        for_tenant = not request.caller.is_operator
        return ApiResponse(
            200,
            schemas.AuditRecordList(
                records=[audit_record_response(each, for_tenant=for_tenant) for each in found],
                next=next_cursor(following),
            ),
        )
