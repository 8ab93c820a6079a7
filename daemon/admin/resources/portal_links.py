"""Portal links: create, list, revoke."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from uuid import uuid4

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import Problem, not_found, require_found
from daemon.admin.resources.cursor import next_cursor, page_start
from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId, TokenId, WebhookId
from daemon.core.model.portal_links import PortalLink, Theme
from daemon.store import portal_links, tenants, webhooks
from daemon.store.database import Database
from daemon.store.session import Connection

CODE_BYTES = 24
TOO_MANY = (
    f"the tenant has {portal_links.MAX_VALID} valid links, the most that it may have: revoke some,"
    " or wait until some expire"
)


@dataclass(frozen=True, slots=True)
class PortalLinks:
    """Operations on portal links, for operators; `console_url` is where people open the console."""

    database: Database
    console_url: str

    @operation(
        "POST /api/portal-links",
        operation_id="createPortalLink",
        tag="Portal links",
        summary="Create a portal link",
        description=(
            "A link into the console for one tenant's people. It works once, and the session that"
            " it begins ends with it. Only operators can create one. A tenant has at most 1,000"
            " valid ones; one more is a 409."
        ),
        body=schemas.CreatePortalLinkRequest,
        responses={201: ("The link, shown only once.", schemas.CreatedPortalLink)},
        problems=(409,),
        links={"revoke": Link("revokePortalLink")},
        id_of="link",
        operator_only=True,
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """
        Raises Problem: 404 for an unknown tenant or a webhook of another, 409 at the limit of valid
        links.
        """
        body: schemas.CreatePortalLinkRequest = request.body
        tenant_id = TenantId(body.tenant_id)
        webhook_id = None if body.webhook_id is None else WebhookId(body.webhook_id)
        async with self.database.connection() as db:
            await _require(db, tenant_id, webhook_id)
        code = secrets.token_urlsafe(CODE_BYTES)
        link = await self._store(request, tenant_id, webhook_id, code=code)
        url = f"{self.console_url}/enter#{code}"
        return ApiResponse(
            201, schemas.CreatedPortalLink(**_link_response(link).model_dump(), url=url)
        )

    async def _store(
        self, request: ApiRequest, tenant_id: TenantId, webhook_id: WebhookId | None, *, code: str
    ) -> PortalLink:
        body: schemas.CreatePortalLinkRequest = request.body
        async with self.database.locked(portal_links.lock_name(tenant_id)) as db:
            link = await portal_links.insert(
                db,
                TokenId(uuid4()),
                tenant_id=tenant_id,
                webhook_id=webhook_id,
                scope=Scope(body.scope),
                theme=None if body.theme is None else Theme(body.theme),
                code_hash=sha256(code.encode()).digest(),
                created_by=request.caller.actor.name,
                lifetime=timedelta(seconds=body.expires_in),
            )
            if link is None:
                raise Problem(409, TOO_MANY)
            await request.audit.write(db, created=link.id, tenant_id=tenant_id)
        return link

    @operation(
        "GET /api/portal-links",
        operation_id="listPortalLinks",
        tag="Portal links",
        summary="List the valid portal links",
        description=(
            "Newest first, without their codes: of the tenant that X-Tenant-ID names, or of all."
            " Only operators can list them."
        ),
        query=schemas.PortalLinksQuery,
        responses={200: ("A page of links.", schemas.PortalLinkList)},
        operator_only=True,
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown `before`."""
        query: schemas.PortalLinksQuery = request.query
        tenant_id = request.caller.tenant_id
        async with self.database.connection() as db:
            before = await page_start(
                query.before,
                partial(portal_links.cursor_of, db, tenant_id),
                absent="before: there is no link with this id",
            )
            found, following = await portal_links.list_valid(
                db, tenant_id, before=before, limit=query.limit
            )
        return ApiResponse(
            200,
            schemas.PortalLinkList(
                links=[_link_response(each) for each in found], next=next_cursor(following)
            ),
        )

    @operation(
        "DELETE /api/portal-links/{id}",
        operation_id="revokePortalLink",
        tag="Portal links",
        summary="Revoke a portal link",
        description=(
            "It cannot be entered any more, and the session that it began ends now, at every"
            " daemon. Only operators can revoke one."
        ),
        responses={204: ("The link was revoked.", None)},
        id_of="link",
        operator_only=True,
    )
    async def revoke(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for a link that is unknown, expired or revoked."""
        async with self.database.transaction() as db:
            tenant_id = require_found(
                await portal_links.delete(db, request.caller.tenant_id, TokenId(request.id)), "link"
            )
            await request.audit.write(db, tenant_id=tenant_id)
        return ApiResponse(204)


async def _require(db: Connection, tenant_id: TenantId, webhook_id: WebhookId | None) -> None:
    """Raises Problem (404) for an unknown tenant or a webhook of another."""
    if await tenants.exists(db, tenant_id) is False:
        raise not_found("tenant")
    if webhook_id is not None:
        require_found(await webhooks.get(db, tenant_id, webhook_id), "webhook")


def _link_response(link: PortalLink) -> schemas.PortalLink:
    return schemas.PortalLink(
        id=link.id,
        tenant_id=link.tenant_id,
        webhook_id=link.webhook_id,
        scope=link.scope.value,
        theme=None if link.theme is None else link.theme.value,
        created_by=link.created_by,
        created_at=link.created_at,
        entered_at=link.entered_at,
        expires_at=link.expires_at,
    )
