"""
Shared access: portal links for a tenant's people, for operators.

A link's code is shown in the answer to its creation alone.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from daemon.admin.api.problems import FieldError, Problem
from daemon.admin.console.form_tokens import redirect_with_secret
from daemon.admin.console.forms import FormErrors, errors_of, text_member
from daemon.admin.console.page import PageRequest, page

NEW_PAGE = "/links/new"
PER_PAGE, MOST_WEBHOOKS = "50", "200"
FIELDS = frozenset({"tenantId", "expiresIn", "scope", "webhookId", "theme"})
LIFETIMES = {"15m": "15 minutes", "1h": "1 hour", "8h": "8 hours", "24h": "1 day"}
DEFAULTS = {"expiresIn": "1h", "scope": "read"}


class SharingPages:
    """A form and the valid links: of one tenant on its pages, of all on the operator's own."""

    @page("GET /links", operators=True)
    async def all_links(self, request: PageRequest) -> web.StreamResponse:
        """The valid links of all tenants."""
        return await _page(request, DEFAULTS | request.query, errors=FormErrors())

    @page("POST /links", operators=True, once=True)
    async def create_for_any(self, request: PageRequest) -> web.StreamResponse:
        """Create a link for the tenant that the form names."""
        return await _create(request)

    @page("GET /links/new", operators=True)
    async def new_for_any(self, request: PageRequest) -> web.StreamResponse:
        """The link that was just created; after a reload, that it was shown."""
        return await _show_new(request)

    @page("POST /links/{id}/revoke", operators=True)
    async def revoke_any(self, request: PageRequest) -> web.StreamResponse:
        """Revoke a link of any tenant."""
        return await _revoke(request)

    @page("GET /links")
    async def links_of_tenant(self, request: PageRequest) -> web.StreamResponse:
        """The valid links of a tenant."""
        _check_operator(request)
        return await _page(request, DEFAULTS | request.query, errors=FormErrors())

    @page("POST /links", once=True)
    async def create_for_tenant(self, request: PageRequest) -> web.StreamResponse:
        """Create a link for this tenant."""
        _check_operator(request)
        return await _create(request)

    @page("GET /links/new")
    async def new_for_tenant(self, request: PageRequest) -> web.StreamResponse:
        """The link that was just created for this tenant."""
        _check_operator(request)
        return await _show_new(request)

    @page("POST /links/{id}/revoke")
    async def revoke_of_tenant(self, request: PageRequest) -> web.StreamResponse:
        """Revoke a link of this tenant."""
        _check_operator(request)
        return await _revoke(request)


def _check_operator(request: PageRequest) -> None:
    """Raises Problem (404): a tenant's people cannot share what was shared with them."""
    if not request.session.is_operator:
        raise Problem(404, "there is no such page")


async def _create(request: PageRequest) -> web.StreamResponse:
    body: dict[str, object] = {
        name: value for name in FIELDS if (value := text_member(request.form, name)) is not None
    }
    if request.tenant_id is not None:
        body["tenantId"] = str(request.tenant_id)
    try:
        created = await request.api("createPortalLink", body=body)
    except Problem as problem:
        errors = errors_of(_beside_field(request, problem), shown=FIELDS)
        return await _page(request, request.form, errors=errors, status=422)
    return redirect_with_secret(request, NEW_PAGE, created.url)


async def _show_new(request: PageRequest) -> web.StreamResponse:
    url = await request.form_tokens.take_secret(request, NEW_PAGE)
    return await request.page("link_created.html", url=url)


def _beside_field(request: PageRequest, problem: Problem) -> Problem:
    """An unknown value was entered in a field."""
    if problem.status != 404:
        return problem
    field = "tenantId" if request.tenant_id is None else "webhookId"
    return Problem(422, problem.error, field_errors=[FieldError(f"#/{field}", problem.error)])


async def _revoke(request: PageRequest) -> web.StreamResponse:
    try:
        await request.api("revokePortalLink", request.object_id)
    except Problem as problem:
        # Revoked, expired or clicked twice: it is not valid either way.
        if problem.status != 404:
            raise
    return request.redirect("/links?done=revoked")


async def _page(
    request: PageRequest, values: Mapping[str, str], *, errors: FormErrors, status: int = 200
) -> web.Response:
    query = {name: request.query[name] for name in ("before",) if name in request.query}
    listed = await request.api("listPortalLinks", query={"limit": PER_PAGE, **query})
    return await request.page(
        "links.html",
        status=status,
        of_tenants=[each.tenant_id for each in listed.links],
        links=listed.links,
        next=listed.next,
        webhooks=await _webhooks(request),
        values=values,
        errors=errors,
        lifetimes=LIFETIMES,
    )


async def _webhooks(request: PageRequest) -> list[Any]:
    """The webhooks at which a link of this tenant may open."""
    if request.tenant_id is None:
        return []
    listed = await request.api("listWebhooks", query={"limit": MOST_WEBHOOKS})
    found: list[Any] = listed.webhooks
    return found
