"""
Tenants' subscriptions, compiled and indexed, and kept as the database has them.

Each scan of the inbox tells which subscriptions changed, and only these are read again. The rules:
what a tenant's events are matched against is as fresh as the scan that found them, and no tenant's
subscriptions take more memory than its share: those that would are read for each event.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.matching.condition_index import Found
from daemon.core.matching.index import SubscriptionIndex
from daemon.core.model.events import Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.pipeline.subscription_pages import PAGE, matcher_of, pages
from daemon.runtime.time_slice import TimeSlice
from daemon.store import subscriptions
from daemon.store.database import Database
from daemon.store.session import Connection
from daemon.store.subscription_changes import Change

FEW = 200  # subscriptions of a tenant that are read along with those of others
FEW_TENANTS = 25  # of which they are read at once
QUICK_BYTES = 1024 * 1024  # of which so many are read at once of a tenant with more
LOADING_SECONDS = 0.25  # for all tenants; the rest need `load`
# Of memory: a tenant with more is not kept, and all together are forgotten from so many on.
TENANT_BYTES = 32 * 1024 * 1024
MOST_BYTES = 96 * 1024 * 1024
MOST_TENANTS = 20_000
# Of a tenant whose events do not come. With more, all its subscriptions are read again.
MOST_CHANGED = 2000
# Even if a change is never named, by a fault of ours or a disabled trigger, it counts from then on.
FRESH_SECONDS = 600.0


@dataclass(slots=True)
class _Tenant:
    id: TenantId
    loaded_at: float
    loading: bool = False
    too_large: bool = False  # to be kept: the index is empty
    index: SubscriptionIndex = field(default_factory=SubscriptionIndex)
    changed: set[WebhookId] = field(default_factory=set)

    def note_change(self, webhook_id: WebhookId | None) -> None:
        """Note a subscription that is to be read again; None stands for all."""
        if self.too_large or self.loaded_at == -inf:
            return
        if webhook_id is None or len(self.changed) >= MOST_CHANGED:
            self.expire()
        else:
            self.changed.add(webhook_id)

    def expire(self) -> None:
        """Let all be read again, and stay meanwhile: events found before are just being matched."""
        self.loaded_at = -inf
        self.changed.clear()


class SubscriptionCache:
    """
    The indexes of tenants whose events came lately; `index_of` needs `load_few`.

    Any may be forgotten while others are loaded: `knows` tells. Who works on events for long keeps
    what `load` returned.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tenants: OrderedDict[TenantId, _Tenant] = OrderedDict()
        self._bytes = 0

    def knows(self, tenant_id: TenantId) -> bool:
        """Whether the tenant's subscriptions are loaded."""
        return tenant_id in self._tenants

    def is_loaded(self, tenant_id: TenantId) -> bool:
        """Whether `load` takes but a moment, and returns an index."""
        tenant = self._tenants.get(tenant_id)
        return (
            tenant is not None
            and self._is_fresh(tenant_id)
            and not (tenant.loading or tenant.too_large)
            and len(tenant.changed) <= FEW
        )

    def is_current(self, tenant_id: TenantId) -> bool:
        """Whether `load_few` would read nothing for this tenant, and let it be used."""
        return self.is_loaded(tenant_id) and not self._tenants[tenant_id].changed

    def is_too_large(self, tenant_id: TenantId) -> bool:
        """Whether the tenant's subscriptions are known to be too large to be kept."""
        tenant = self._tenants.get(tenant_id)
        return tenant is not None and tenant.too_large

    def index_of(self, tenant_id: TenantId) -> SubscriptionIndex:
        """The subscriptions of a tenant that was loaded."""
        return self._tenants[tenant_id].index

    def note_changes(self, changed: Iterable[Change] | None) -> None:
        """Note subscriptions that are to be read again; None stands for all."""
        if changed is None:
            for each in self._tenants.values():
                each.expire()
            return
        for tenant_id, webhook_id in changed:
            tenant = self._tenants.get(tenant_id)
            if tenant is not None:
                tenant.note_change(webhook_id)

    async def load_few(self, tenants: Iterable[TenantId]) -> set[TenantId]:
        """
        Bring the tenants up to date of which that takes a moment.

        Returns the others, which need `load`: they have many subscriptions, large ones, or many
        changes, or there are too many tenants.
        """
        time_slice = TimeSlice()
        wanted = set(tenants)
        known = {each for each in wanted if self._is_fresh(each)}
        many = {each for each in known if not self.is_loaded(each)}
        pieces = [[each] for each in known - many if self._tenants[each].changed]
        missing = list(wanted - known)
        pieces += [
            missing[start : start + FEW_TENANTS] for start in range(0, len(missing), FEW_TENANTS)
        ]
        many |= await self._load_pieces(pieces, time_slice)
        many |= {each for each in known if self._tenants[each].too_large}
        for tenant_id in wanted - many:
            if tenant_id in self._tenants:
                self._tenants.move_to_end(tenant_id)
        self._forget_oldest(wanted)
        return many

    async def load(
        self, tenant_id: TenantId, time_slice: TimeSlice | None = None
    ) -> SubscriptionIndex | None:
        """
        Bring a tenant up to date, however many subscriptions it has, page by page.

        Returns them; they stay as they are when the tenant is forgotten meanwhile. None if they
        take too much memory to be kept: see `pages`.
        """
        time_slice = time_slice or TimeSlice(patient=True)
        if not self._is_fresh(tenant_id):
            self._forget(tenant_id)
            tenant = _Tenant(tenant_id, time.monotonic(), loading=True)
            self._tenants[tenant_id] = tenant  # changes from here on are noted
            try:
                await self._load_pages(tenant, time_slice)
                tenant.loading = False
            except BaseException:
                self._forget(tenant_id)
                raise
        else:
            tenant = self._tenants[tenant_id]
        if tenant.changed:
            async with self._database.connection() as db:
                await self._refresh(db, tenant, time_slice, most_bytes=subscriptions.ALONE)
        self._forget_oldest({tenant_id})
        return None if tenant.too_large else tenant.index

    async def pages(self, tenant_id: TenantId, time_slice: TimeSlice) -> AsyncIterator[Found]:
        """Yield the subscriptions of a tenant that is too large to be kept, page by page."""
        async with self._database.connection() as db:
            ids = await subscriptions.active_ids(db, tenant_id)
        async for page in pages(self._database, tenant_id, ids, time_slice):
            yield page

    def _is_fresh(self, tenant_id: TenantId) -> bool:
        tenant = self._tenants.get(tenant_id)
        return tenant is not None and time.monotonic() - tenant.loaded_at < FRESH_SECONDS

    async def _load_pieces(
        self, pieces: Iterable[Sequence[TenantId]], time_slice: TimeSlice
    ) -> set[TenantId]:
        """Load or refresh these tenants; returns those for which that takes long, or fails."""
        many: set[TenantId] = set()
        ends = time.monotonic() + LOADING_SECONDS
        for tenants in pieces:
            if time.monotonic() > ends:
                many.update(tenants)
                continue
            try:
                async with self._database.connection() as db:
                    if not self._is_fresh(tenants[0]):
                        many |= await self._load_missing(db, tenants, time_slice)
                    elif not await self._refresh(
                        *(db, self._tenants[tenants[0]], time_slice),
                        most_bytes=subscriptions.BESIDE_OTHERS,
                    ):
                        many.update(tenants)
            except STATEMENT_FAILURES:  # one tenant's row: alone, it stops no others
                many.update(tenants)
        return many

    async def _load_missing(
        self, db: Connection, missing: Sequence[TenantId], time_slice: TimeSlice
    ) -> set[TenantId]:
        """Load these tenants; returns those of which the subscriptions are many, or large."""
        found: dict[TenantId, list[Subscription]] = {each: [] for each in missing}
        few, many = await subscriptions.of_tenants(
            db, missing, limit=FEW + 1, most_bytes=subscriptions.BESIDE_OTHERS
        )
        for subscription in few:
            found[subscription.tenant_id].append(subscription)
        many |= {tenant_id for tenant_id, several in found.items() if len(several) > FEW}
        for tenant_id in found.keys() - many:
            self._forget(tenant_id)
            tenant = self._tenants[tenant_id] = _Tenant(tenant_id, time.monotonic())
            for subscription in found[tenant_id]:
                await self._put(db, tenant, subscription)
                await time_slice.yield_if_used()
        return many

    async def _load_pages(self, tenant: _Tenant, time_slice: TimeSlice) -> None:
        async with self._database.connection() as db:
            ids = await subscriptions.active_ids(db, tenant.id)
        for start in range(0, len(ids), FEW):
            few = ids[start : start + FEW]
            async with self._database.connection() as db:
                if await self._read(db, tenant, few, time_slice, most_bytes=QUICK_BYTES):
                    continue
            for first in range(0, len(few), PAGE):
                page = few[first : first + PAGE]
                async with self._database.connection() as db:
                    await self._read(db, tenant, page, time_slice, most_bytes=subscriptions.ALONE)

    async def _refresh(
        self, db: Connection, tenant: _Tenant, time_slice: TimeSlice, *, most_bytes: int
    ) -> bool:
        """Read again what changed since it was loaded; False if that takes more bytes."""
        while tenant.changed:
            # Taken first: what changes while it is read here will be read once more.
            ids = [tenant.changed.pop() for _ in range(min(PAGE, len(tenant.changed)))]
            try:
                read = await self._read(db, tenant, ids, time_slice, most_bytes=most_bytes)
            except BaseException:
                tenant.changed.update(ids)
                raise
            if not read:
                tenant.changed.update(ids)
                return False
        return True

    async def _read(
        self,
        db: Connection,
        tenant: _Tenant,
        ids: Sequence[WebhookId],
        time_slice: TimeSlice,
        *,
        most_bytes: int,
    ) -> bool:
        """Read these subscriptions as they are now; False if that takes more bytes."""
        if tenant.too_large:
            return True
        several = await subscriptions.by_id(db, ids, most_bytes=most_bytes)
        if several is None:
            return False
        found = {each.webhook_id: each for each in several}
        for webhook_id in ids:
            subscription = found.get(webhook_id)
            if subscription is None or subscription.tenant_id != tenant.id:
                self._remove(tenant, webhook_id)
            else:
                await self._put(db, tenant, subscription)
            await time_slice.yield_if_used()
            if tenant.index.bytes > TENANT_BYTES:
                await self._empty(tenant, time_slice)
                break
        return True

    async def _put(self, db: Connection, tenant: _Tenant, subscription: Subscription) -> None:
        before = tenant.index.bytes
        matcher = await matcher_of(db, subscription) if subscription.is_active else None
        if matcher is None:
            tenant.index.remove(subscription.webhook_id)
        else:
            tenant.index.put(subscription.webhook_id, matcher)
        self._counted(tenant, before)

    def _remove(self, tenant: _Tenant, webhook_id: WebhookId) -> None:
        before = tenant.index.bytes
        tenant.index.remove(webhook_id)
        self._counted(tenant, before)

    def _counted(self, tenant: _Tenant, before: int) -> None:
        """Count what was added to, or removed from, a tenant that is not forgotten."""
        if self._tenants.get(tenant.id) is tenant:
            self._bytes += tenant.index.bytes - before

    async def _empty(self, tenant: _Tenant, time_slice: TimeSlice) -> None:
        """Forget the subscriptions of a tenant that has too many, in pieces."""
        tenant.too_large = True
        tenant.changed.clear()
        for webhook_id in tenant.index.webhook_ids:
            self._remove(tenant, webhook_id)
            await time_slice.yield_if_used()

    def _forget(self, tenant_id: TenantId) -> None:
        if tenant := self._tenants.pop(tenant_id, None):
            self._bytes -= tenant.index.bytes

    def _forget_oldest(self, keep: set[TenantId]) -> None:
        """
        Forget who was used longest ago, where these are too many.

        If they take too much memory, first of those that take more than others do.
        """
        while (
            len(self._tenants) > MOST_TENANTS and (oldest := next(iter(self._tenants))) not in keep
        ):
            self._forget(oldest)
        for least in (self._bytes // max(1, len(self._tenants)), 0):
            if self._bytes <= MOST_BYTES:
                return
            for tenant_id in list(self._tenants):
                if self._bytes <= MOST_BYTES:
                    return
                if tenant_id not in keep and self._tenants[tenant_id].index.bytes >= least:
                    self._forget(tenant_id)
