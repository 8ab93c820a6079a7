"""Tenants: list, and search across all of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.schemas.tenants import place_text
from daemon.core.model.ids import TenantId
from daemon.core.model.tenants import FIRST_ID, TenantOverview, TenantPlace
from daemon.core.policy.webhook_limits import WebhookLimits
from daemon.core.wire.event_ids import parse_event_id
from daemon.store import object_search, tenant_overview, tenants, webhook_limits
from daemon.store.database import Database
from daemon.store.session import Connection

MOST_FOUND = 20
ID_PREFIX = re.compile(r"[0-9a-fA-F]{8}[0-9a-fA-F-]{0,28}")


@dataclass(frozen=True, slots=True)
class Tenants:
    """Operations on tenants, for operators; `limits` are those on their webhooks."""

    database: Database
    limits: WebhookLimits

    @operation(
        "GET /api/tenants",
        operation_id="listTenants",
        tag="Tenants",
        summary="List the tenants, those with trouble first",
        description=(
            "Those with most failing webhooks first, then those with most paused ones, then all"
            " others by their ids; with `search` all by their ids. Tenants without webhooks are"
            " left out where the daemon may not read the application's table. Only operators can"
            " list them; X-Tenant-ID is ignored."
        ),
        query=schemas.TenantsQuery,
        responses={200: ("A page of tenants.", schemas.TenantList)},
        operator_only=True,
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """A page of tenants."""
        query: schemas.TenantsQuery = request.query
        async with self.database.connection() as db:
            if query.search is None:
                ids, following = await tenant_overview.list_places(
                    db, query.after, limit=query.limit
                )
            else:
                after = FIRST_ID if query.after is None else query.after.id
                ids, following = await _search(db, query.search, after=after, limit=query.limit)
            found = await tenant_overview.overviews(db, ids)
            warnings = await self._warnings(db, found)
        return ApiResponse(
            200,
            schemas.TenantList(
                tenants=[_tenant_response(each, warnings.get(each.id, [])) for each in found],
                next=None if following is None else place_text(following),
            ),
        )

    @operation(
        "GET /api/search",
        operation_id="searchTenants",
        tag="Tenants",
        summary="Find a webhook, an event, a delivery or a replay of any tenant",
        description=(
            "By its id; webhooks also by the address that they mail, by their host or a domain"
            f" above it, and by a part of the name or URL: {MOST_FOUND} at most. Only operators can"
            " search; X-Tenant-ID is ignored."
        ),
        query=schemas.SearchQuery,
        responses={200: ("What was found.", schemas.FoundObjects)},
        operator_only=True,
    )
    async def search(self, request: ApiRequest) -> ApiResponse:
        """Objects of all tenants."""
        query: schemas.SearchQuery = request.query
        object_id = _id_in(query.text)
        async with self.database.connection() as db:
            if object_id is not None:
                found, complete = await object_search.by_id(db, object_id), True
            else:
                found, complete = await object_search.by_text(
                    db, query.text.strip(), limit=MOST_FOUND
                )
        return ApiResponse(
            200,
            schemas.FoundObjects(
                found=[
                    schemas.FoundObject(
                        kind=each.kind,
                        id=each.id,
                        tenant_id=each.tenant_id,
                        webhook_id=each.webhook_id,
                        name=each.name,
                    )
                    for each in found
                ],
                complete=complete,
            ),
        )

    async def _warnings(
        self, db: Connection, found: Sequence[TenantOverview]
    ) -> Mapping[TenantId, list[str]]:
        """The limits on webhooks that these tenants are above."""
        limits, warnings = self.limits, {each.id: list[str]() for each in found}
        for each in found:
            if limits.per_tenant and each.webhooks > limits.per_tenant:
                warnings[each.id].append(
                    f"{each.webhooks} webhooks, more than limits.webhooks_per_tenant"
                    f" ({limits.per_tenant})"
                )
        many = [each.id for each in found if limits.per_host and each.webhooks > limits.per_host]
        for counted in await webhook_limits.hosts_of(db, many, limits.per_host) if many else ():
            warnings[counted.tenant_id].append(
                f"{counted.count} webhooks at {counted.host}, more than limits.webhooks_per_host"
                f" ({limits.per_host})"
            )
        return warnings


async def _search(
    db: Connection, text: str, *, after: UUID, limit: int
) -> tuple[list[TenantId], TenantPlace | None]:
    if ID_PREFIX.fullmatch(text):
        return await _with_prefix(db, text.replace("-", "").lower()[:32], limit=limit), None
    found, following = await tenants.find_by_name(db, text, after=after, limit=limit)
    return found, None if following is None else TenantPlace(0, 0, following)


async def _with_prefix(db: Connection, digits: str, *, limit: int) -> list[TenantId]:
    """The first tenants whose ids begin with these digits."""
    first, last = int(digits.ljust(32, "0"), 16), UUID(digits.ljust(32, "f"))
    found = await tenants.after(db, UUID(int=max(0, first - 1)), limit=limit)
    # The application may have deleted the row of a tenant whose data are still stored.
    if len(digits) == 32 and last not in found and await tenants.has_data(db, TenantId(last)):
        return [TenantId(last)]
    return [each for each in found if each <= last]


def _id_in(text: str) -> UUID | None:
    try:
        return parse_event_id(text.strip())
    except ValueError:
        return None


def _tenant_response(tenant: TenantOverview, warnings: list[str]) -> schemas.Tenant:
    late = tenant.oldest_due_seconds
    return schemas.Tenant(
        id=tenant.id,
        name=tenant.name,
        webhooks=tenant.webhooks,
        failing=tenant.failing,
        paused=tenant.paused,
        oldest_due_seconds=None if late is None else round(late, 3),
        last_event_at=tenant.last_event_at,
        warnings=warnings,
    )
