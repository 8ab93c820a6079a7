"""The failing webhooks of all tenants, for operators."""

from aiohttp import web

from daemon.admin.console.page import PageRequest, page


class FailingPages:
    """The list of failing webhooks."""

    @page("GET /failing", operators=True)
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """Those that began to fail last first."""
        listed = await request.api("listFailingWebhooks")
        return await request.page(
            "failing.html",
            of_tenants=[each.tenant_id for each in listed.webhooks],
            webhooks=listed.webhooks,
            complete=listed.complete,
            webhooks_of=f"{request.root}/t",
        )
