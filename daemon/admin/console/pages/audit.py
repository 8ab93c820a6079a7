"""The audit: who changed what, from where and when, and what was refused."""

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.actions import ACTIONS
from daemon.admin.console.form_times import as_timestamp
from daemon.admin.console.forms import FormErrors, errors_of
from daemon.admin.console.page import PageRequest, page

PER_PAGE = "50"
# The names in the URL, and those of the API.
FILTERS = {"action": "action", "object": "objectId", "from": "from", "to": "to", "before": "before"}
FIELDS = frozenset(FILTERS.values())
# Where an object has a page, below that of its tenant.
OBJECT_PAGES = {"webhook": "/webhooks/", "event": "/events/", "delivery": "/deliveries/"}


class AuditPages:
    """All records for operators, and those of one tenant."""

    @page("GET /audit", operators=True)
    async def of_all(self, request: PageRequest) -> web.StreamResponse:
        """The records of all tenants."""
        return await _page(request)

    @page("GET /audit")
    async def of_tenant(self, request: PageRequest) -> web.StreamResponse:
        """The records of a tenant."""
        return await _page(request)


async def _page(request: PageRequest) -> web.Response:
    query = {
        api: as_timestamp(request.query[name])
        for name, api in FILTERS.items()
        if name in request.query
    }
    records, following, errors = [], None, FormErrors()
    try:
        found = await request.api("listAuditRecords", query={"limit": PER_PAGE, **query})
        records, following = found.records, found.next
    except Problem as problem:
        errors = errors_of(problem, shown=FIELDS)
    return await request.page(
        "audit.html",
        status=422 if errors.sentence or errors.fields else 200,
        of_tenants=[each.tenant_id for each in records if each.tenant_id],
        records=records,
        next=following,
        errors=errors,
        filters=[name for name in FILTERS if name in request.query and name != "before"],
        actions=ACTIONS,
        object_pages=OBJECT_PAGES,
    )
