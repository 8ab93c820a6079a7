"""Hold and release, of everything or of one tenant, for operators: a page that asks first."""

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.forms import FormErrors, errors_of, text_member
from daemon.admin.console.page import PageRequest, page

FIELDS = frozenset({"reason"})


class HoldPages:
    """The page and what its button does."""

    @page("GET /hold", operators=True)
    async def ask_everything(self, request: PageRequest) -> web.StreamResponse:
        """Ask before everything is held or released."""
        return await _page(request)

    @page("POST /hold", operators=True)
    async def hold_everything(self, request: PageRequest) -> web.StreamResponse:
        """Hold everything."""
        return await _change(request, "holdDeliveries")

    @page("POST /release", operators=True)
    async def release_everything(self, request: PageRequest) -> web.StreamResponse:
        """End the hold of everything."""
        return await _change(request, "releaseDeliveries")

    @page("GET /hold")
    async def ask_tenant(self, request: PageRequest) -> web.StreamResponse:
        """Ask before the tenant is held or released."""
        _check_operator(request)
        return await _page(request)

    @page("POST /hold")
    async def hold_tenant(self, request: PageRequest) -> web.StreamResponse:
        """Hold the tenant."""
        _check_operator(request)
        return await _change(request, "holdDeliveries")

    @page("POST /release")
    async def release_tenant(self, request: PageRequest) -> web.StreamResponse:
        """End the tenant's hold."""
        _check_operator(request)
        return await _change(request, "releaseDeliveries")


def _check_operator(request: PageRequest) -> None:
    """Raises Problem (404): a tenant's people do not hold."""
    if not request.session.is_operator:
        raise Problem(404, "there is no such page")


async def _change(request: PageRequest, operation: str) -> web.StreamResponse:
    reason = text_member(request.form, "reason")
    try:
        await request.api(operation, body={} if reason is None else {"reason": reason})
    except Problem as problem:
        return await _page(request, errors_of(problem, shown=FIELDS), status=422)
    return request.redirect("/tenants" if request.tenant_id is None else "/webhooks")


async def _page(
    request: PageRequest, errors: FormErrors | None = None, *, status: int = 200
) -> web.Response:
    held = [] if request.held is None else request.held.held
    return await request.page(
        "hold.html",
        status=status,
        own=any(each.tenant_id == request.tenant_id for each in held),
        reason=request.form.get("reason", ""),
        errors=errors or FormErrors(),
    )
