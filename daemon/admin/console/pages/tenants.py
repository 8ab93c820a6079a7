"""The operator's home: all tenants, those with trouble first, and what is found across them."""

from typing import Any

from aiohttp import web

from daemon.admin.console.page import PageRequest, page

PER_PAGE = "50"
SHORTEST_TEXT = 3  # of a search across tenants


class TenantPages:
    """The list and its search."""

    @page("GET /tenants", operators=True)
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """Tenants with trouble first, or those that a search finds, with other objects."""
        text = request.query.get("search", "").strip()
        query = {name: request.query[name] for name in ("after",) if name in request.query}
        if text:
            query["search"] = text
        listed = await request.api("listTenants", query={"limit": PER_PAGE, **query})
        return await request.page(
            "tenants.html",
            tenants=listed.tenants,
            next=listed.next,
            text=text,
            objects=await _objects(request, text),
            webhooks_of=f"{request.root}/t",
        )


async def _objects(request: PageRequest, text: str) -> Any:
    """Webhooks, events and deliveries that the text identifies; None without a search."""
    if len(text) < SHORTEST_TEXT or "after" in request.query:
        return None
    return await request.api("searchTenants", query={"text": text})
