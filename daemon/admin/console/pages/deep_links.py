"""Links that name an object without its tenant, as mails do: they lead to the object's page."""

from aiohttp import web

from daemon.admin.api.problems import Subject, not_found
from daemon.admin.console.page import PageRequest, page
from daemon.core.model.ids import TenantId

RETRIEVE: dict[Subject, str] = {
    "webhook": "retrieveWebhook",
    "event": "retrieveEvent",
    "delivery": "retrieveDelivery",
}
UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class DeepLinks:
    """Redirects to the pages of a tenant: of the session's own, or the one that has the object."""

    @page("GET /webhooks/{id}", anyone=True)
    async def webhook(self, request: PageRequest) -> web.StreamResponse:
        """To a webhook."""
        return await _to_object(request, "webhook", "/webhooks")

    @page("GET /events/{id}", anyone=True)
    async def event(self, request: PageRequest) -> web.StreamResponse:
        """To an event."""
        return await _to_object(request, "event", "/events")

    @page("GET /deliveries/{id}", anyone=True)
    async def delivery(self, request: PageRequest) -> web.StreamResponse:
        """To a delivery."""
        return await _to_object(request, "delivery", "/deliveries")


async def _to_object(request: PageRequest, kind: Subject, path: str) -> web.StreamResponse:
    """Raises Problem (404) if no tenant of the session has the object."""
    object_id = request.object_id
    tenant_id = request.session.tenant_id
    if tenant_id is None:
        result = await request.api("searchTenants", query={"text": str(object_id)})
        owners = [each.tenant_id for each in result.found if each.kind == kind]
        if not owners:
            raise not_found(kind)
        tenant_id = TenantId(owners[0])
    await request.at(tenant_id).api(RETRIEVE[kind], object_id)
    return request.at(tenant_id).redirect(f"{path}/{object_id}")


def add_redirect(app: web.Application, *, root: str) -> None:
    """Serve `/webhooks/<id>`, to which mails link."""

    async def to_console(request: web.Request) -> web.Response:
        return web.Response(
            status=303, headers={"Location": f"{root}/webhooks/{request.match_info['id']}"}
        )

    app.router.add_get(f"/webhooks/{{id:{UUID_PATTERN}}}", to_console)
