"""
Tenants' subscriptions, compiled and indexed, and kept as the database has them.

Each scan of the inbox tells which subscriptions changed, and only these are read again. The rule:
what a tenant's events are matched against is as fresh as the scan that found them.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from daemon.core.errors import StatementError
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.index import SubscriptionIndex
from daemon.core.matching.matcher import Matcher
from daemon.core.model.events import Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.runtime.time_slice import TimeSlice
from daemon.store import subscriptions
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

FEW = 200  # subscriptions of a tenant that are read along with those of others
PAGE = 500
MOST_SUBSCRIPTIONS = 200_000  # in all; the tenants that were used longest ago are forgotten
MOST_TENANTS = 20_000
# Even if a change is never named, by a fault of ours or a disabled trigger, it counts from then on.
FRESH_SECONDS = 600.0

FAILED = UnusableFilter("event_filters: this cannot be used, because of a fault of ours.")


@dataclass(slots=True)
class _Tenant:
    loaded_at: float
    loading: bool = False
    index: SubscriptionIndex = field(default_factory=SubscriptionIndex)
    changed: set[WebhookId] = field(default_factory=set)


class SubscriptionCache:
    """The indexes of tenants whose events came lately; `index_of` needs `load` or `load_few`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tenants: OrderedDict[TenantId, _Tenant] = OrderedDict()
        self._count = 0

    def index_of(self, tenant_id: TenantId) -> SubscriptionIndex:
        """The subscriptions of a tenant that was loaded."""
        return self._tenants[tenant_id].index

    def note_changes(self, changed: Iterable[tuple[TenantId, WebhookId]] | None) -> None:
        """Note subscriptions that are to be read again; None stands for all."""
        if changed is None:
            self._tenants.clear()
            self._count = 0
            return
        for tenant_id, webhook_id in changed:
            if tenant := self._tenants.get(tenant_id):
                tenant.changed.add(webhook_id)

    async def load_few(self, tenants: Iterable[TenantId]) -> set[TenantId]:
        """
        Bring the tenants up to date of which that takes a moment, in two queries.

        Returns the others, which need `load`: they have many subscriptions, or many changes.
        """
        time_slice = TimeSlice()
        wanted = set(tenants)
        known = {each for each in wanted if self._is_fresh(each)}
        many = {
            each
            for each in known
            if self._tenants[each].loading or len(self._tenants[each].changed) > FEW
        }
        changed = [each for each in known - many if self._tenants[each].changed]
        missing = list(wanted - known)
        if changed or missing:
            try:
                async with self._database.connection() as db:
                    for tenant_id in changed:
                        await self._refresh(db, tenant_id, time_slice)
                    many |= await self._load_missing(db, missing, time_slice)
            except StatementError:  # one tenant's row: alone, it stops no others
                many |= {*changed, *missing}
        for tenant_id in wanted - many:
            self._tenants.move_to_end(tenant_id)
        self._forget_oldest(wanted)
        return many

    async def load(self, tenant_id: TenantId) -> None:
        """Bring a tenant up to date, however many subscriptions it has, page by page."""
        time_slice = TimeSlice()
        if not self._is_fresh(tenant_id):
            self._forget(tenant_id)
            loading = _Tenant(time.monotonic(), loading=True)
            self._tenants[tenant_id] = loading  # changes from here on are noted
            try:
                await self._load_pages(tenant_id, loading, time_slice)
                loading.loading = False
            except BaseException:
                self._forget(tenant_id)
                raise
        async with self._database.connection() as db:
            await self._refresh(db, tenant_id, time_slice)
        self._forget_oldest({tenant_id})

    def _is_fresh(self, tenant_id: TenantId) -> bool:
        tenant = self._tenants.get(tenant_id)
        return tenant is not None and time.monotonic() - tenant.loaded_at < FRESH_SECONDS

    async def _load_missing(
        self, db: Connection, missing: Sequence[TenantId], time_slice: TimeSlice
    ) -> set[TenantId]:
        """Load these tenants; returns those that have more than a few subscriptions."""
        if not missing:
            return set()
        found: dict[TenantId, list[Subscription]] = {each: [] for each in missing}
        for subscription in await subscriptions.of_tenants(db, missing, limit=FEW + 1):
            found[subscription.tenant_id].append(subscription)
        many = {tenant_id for tenant_id, several in found.items() if len(several) > FEW}
        for tenant_id in found.keys() - many:
            self._forget(tenant_id)
            tenant = self._tenants[tenant_id] = _Tenant(time.monotonic())
            for subscription in found[tenant_id]:
                await self._put(db, tenant, subscription)
                await time_slice.yield_if_used()
        return many

    async def _load_pages(
        self, tenant_id: TenantId, tenant: _Tenant, time_slice: TimeSlice
    ) -> None:
        after = WebhookId(UUID(int=0))
        page: list[Subscription] = []
        while not after.int or len(page) == PAGE:
            async with self._database.connection() as db:
                page = await subscriptions.page(db, tenant_id, after=after, limit=PAGE)
                for subscription in page:
                    await self._put(db, tenant, subscription)
                    await time_slice.yield_if_used()
            if not page:
                return
            after = page[-1].webhook_id

    async def _refresh(self, db: Connection, tenant_id: TenantId, time_slice: TimeSlice) -> None:
        """Read again what changed since it was loaded."""
        tenant = self._tenants[tenant_id]
        while tenant.changed:
            # Taken first: what changes while it is read here will be read once more.
            ids = [tenant.changed.pop() for _ in range(min(PAGE, len(tenant.changed)))]
            try:
                await self._read_again(db, tenant_id, ids)
            except BaseException:
                tenant.changed.update(ids)
                raise
            await time_slice.yield_if_used()

    async def _read_again(
        self, db: Connection, tenant_id: TenantId, ids: Sequence[WebhookId]
    ) -> None:
        tenant = self._tenants[tenant_id]
        found = {each.webhook_id: each for each in await subscriptions.by_id(db, ids)}
        for webhook_id in ids:
            subscription = found.get(webhook_id)
            if subscription is None or subscription.tenant_id != tenant_id:
                self._remove(tenant, webhook_id)
            else:
                await self._put(db, tenant, subscription)

    async def _put(self, db: Connection, tenant: _Tenant, subscription: Subscription) -> None:
        before = len(tenant.index)
        matcher = await matcher_of(db, subscription) if subscription.is_active else None
        if matcher is None:
            tenant.index.remove(subscription.webhook_id)
        else:
            tenant.index.put(subscription.webhook_id, matcher)
        self._count += len(tenant.index) - before

    def _remove(self, tenant: _Tenant, webhook_id: WebhookId) -> None:
        before = len(tenant.index)
        tenant.index.remove(webhook_id)
        self._count += len(tenant.index) - before

    def _forget(self, tenant_id: TenantId) -> None:
        if tenant := self._tenants.pop(tenant_id, None):
            self._count -= len(tenant.index)

    def _forget_oldest(self, keep: set[TenantId]) -> None:
        for tenant_id in list(self._tenants):
            if self._count <= MOST_SUBSCRIPTIONS and len(self._tenants) <= MOST_TENANTS:
                return
            if tenant_id not in keep:
                self._forget(tenant_id)


async def matcher_of(db: Connection, subscription: Subscription) -> Matcher | None:
    """
    Compile a subscription; None if it cannot be used.

    The webhook's row then says why: such a filter matches nothing, and stops no other webhook.
    """
    webhook_id = subscription.webhook_id
    try:
        matcher = compile_subscription(subscription.event_types, subscription.event_filters)
    except Exception:  # one customer's filter must stop nobody else's events
        log.exception("webhook.filter_failed", webhook_id=str(webhook_id))
        matcher = FAILED
    reason = matcher.reason if isinstance(matcher, UnusableFilter) else None
    if reason != subscription.filter_error:
        await subscriptions.note_filter_error(db, webhook_id, reason)
        if reason is not None:
            log.warning("webhook.filter_unusable", webhook_id=str(webhook_id), reason=reason)
    return None if isinstance(matcher, UnusableFilter) else matcher
