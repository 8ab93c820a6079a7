"""Tenant tokens: create."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import not_found
from daemon.admin.api.tenant_tokens import TenantTokenSigner
from daemon.core.model.ids import TenantId
from daemon.store import webhooks
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class TenantTokens:
    """Operations on tenant tokens, for operators."""

    database: Database
    signer: TenantTokenSigner

    @operation(
        "POST /api/tenant-tokens",
        operation_id="createTenantToken",
        tag="Tokens",
        summary="Create a tenant token",
        description=(
            "A short-lived token that gives access to one tenant. Only operators can create one."
            " It becomes invalid early when the operator token is removed."
        ),
        body=schemas.CreateTenantTokenRequest,
        responses={201: ("The token, shown only once.", schemas.TenantToken)},
        operator_only=True,
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown tenant."""
        body: schemas.CreateTenantTokenRequest = request.body
        async with self.database.connection() as db:
            if not await webhooks.tenant_exists(db, TenantId(body.tenant_id)):
                raise not_found("tenant")
        token = self.signer.issue(body.tenant_id, lifetime=timedelta(seconds=body.expires_in))
        return ApiResponse(
            201,
            schemas.TenantToken(
                token=token.text,
                tenant_id=body.tenant_id,
                expires_at=datetime.fromtimestamp(token.expires_at, UTC),
            ),
        )
