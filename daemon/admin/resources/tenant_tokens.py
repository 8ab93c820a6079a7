"""Tenant tokens: create, list, revoke."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import Problem, not_found, require_found
from daemon.admin.api.tenant_tokens import TenantToken, TenantTokenSigner
from daemon.admin.resources.cursor import next_cursor, page_start
from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId, TokenId
from daemon.core.model.tenant_tokens import StoredToken
from daemon.store import tenant_tokens, tenants
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
            "A short-lived token that gives access to one tenant, to read only if its scope is"
            " `read`. Only operators can create one. It becomes invalid early when it is revoked,"
            " or when the operator token is removed. A tenant has at most 1,000 valid ones; one"
            " more is a 409."
        ),
        body=schemas.CreateTenantTokenRequest,
        responses={201: ("The token, shown only once.", schemas.CreatedTenantToken)},
        problems=(409,),
        links={"revoke": Link("revokeTenantToken")},
        id_of="token",
        operator_only=True,
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem: 404 for an unknown tenant, 409 at the limit of valid tokens."""
        body: schemas.CreateTenantTokenRequest = request.body
        tenant_id = TenantId(body.tenant_id)
        async with self.database.connection() as db:
            if await tenants.exists(db, tenant_id) is False:
                raise not_found("tenant")
        token, text = self.signer.new_token(
            tenant_id, lifetime=timedelta(seconds=body.expires_in), scope=Scope(body.scope)
        )
        await self._store(token, request)
        return ApiResponse(
            201,
            schemas.CreatedTenantToken(
                id=token.id,
                token=text,
                tenant_id=tenant_id,
                scope=body.scope,
                expires_at=token.expires_at,
            ),
        )

    async def _store(self, token: TenantToken, request: ApiRequest) -> None:
        """Raises Problem (409) at the limit of valid tokens."""
        async with self.database.locked(tenant_tokens.lock_name(token.tenant_id)) as db:
            is_stored = await tenant_tokens.insert(
                db,
                token.id,
                tenant_id=token.tenant_id,
                scope=token.scope,
                created_by=request.caller.actor.name,
                expires_at=token.expires_at,
            )
            if not is_stored:
                raise Problem(
                    409,
                    f"the tenant has {tenant_tokens.MAX_VALID} valid tokens, the most that it may"
                    " have: revoke some, or wait until some expire",
                )
            await request.audit.write(db, created=token.id, tenant_id=token.tenant_id)

    @operation(
        "GET /api/tenant-tokens",
        operation_id="listTenantTokens",
        tag="Tokens",
        summary="List the valid tenant tokens",
        description=(
            "Newest first, without the tokens themselves: of the tenant that X-Tenant-ID names, or"
            " of all. Only operators can list them."
        ),
        query=schemas.TenantTokensQuery,
        responses={200: ("A page of tokens.", schemas.TenantTokenList)},
        operator_only=True,
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown `before`."""
        query: schemas.TenantTokensQuery = request.query
        tenant_id = request.caller.tenant_id
        async with self.database.connection() as db:
            before = await page_start(
                query.before,
                partial(tenant_tokens.cursor_of, db, tenant_id),
                absent="before: there is no valid token with this id",
            )
            found, following = await tenant_tokens.list_valid(
                db, tenant_id, before=before, limit=query.limit
            )
        return ApiResponse(
            200,
            schemas.TenantTokenList(
                tokens=[_token_response(each) for each in found], next=next_cursor(following)
            ),
        )

    @operation(
        "DELETE /api/tenant-tokens/{id}",
        operation_id="revokeTenantToken",
        tag="Tokens",
        summary="Revoke a tenant token",
        description="It is refused from now on by every daemon. Only operators can revoke one.",
        responses={204: ("The token was revoked.", None)},
        id_of="token",
        operator_only=True,
    )
    async def revoke(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for a token that is unknown, expired or revoked."""
        async with self.database.transaction() as db:
            tenant_id = require_found(
                await tenant_tokens.delete(db, request.caller.tenant_id, TokenId(request.id)),
                "token",
            )
            await request.audit.write(db, tenant_id=tenant_id)
        return ApiResponse(204)


def _token_response(token: StoredToken) -> schemas.TenantToken:
    return schemas.TenantToken(
        id=token.id,
        tenant_id=token.tenant_id,
        scope=token.scope.value,
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
    )
