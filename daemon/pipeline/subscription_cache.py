"""
Tenants' subscriptions, compiled and indexed, and kept as the database has them.

Each scan of the inbox tells which subscriptions changed, and only these are read again. The rule:
what a tenant's events are matched against is as fresh as the scan that found them.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

import structlog

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.coverage import reason_for_no_match
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
FEW_TENANTS = 25  # of which they are read at once
LOADING_SECONDS = 0.25  # for all tenants; the rest need `load`
PAGE = 100
MOST_SUBSCRIPTIONS = 200_000  # in all; the tenants that were used longest ago are forgotten
MOST_TENANTS = 20_000
# Even if a change is never named, by a fault of ours or a disabled trigger, it counts from then on.
FRESH_SECONDS = 600.0

FAILED = UnusableFilter("event_filters: this cannot be used, because of a fault of ours.")


@dataclass(slots=True)
class _Tenant:
    id: TenantId
    loaded_at: float
    loading: bool = False
    index: SubscriptionIndex = field(default_factory=SubscriptionIndex)
    changed: set[WebhookId] = field(default_factory=set)


class SubscriptionCache:
    """
    The indexes of tenants whose events came lately; `index_of` needs `load_few`.

    Any may be forgotten while others are loaded: `knows` tells. Who works on events for long keeps
    what `load` returned.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tenants: OrderedDict[TenantId, _Tenant] = OrderedDict()
        self._count = 0

    def knows(self, tenant_id: TenantId) -> bool:
        """Whether the tenant's subscriptions are loaded."""
        return tenant_id in self._tenants

    def index_of(self, tenant_id: TenantId) -> SubscriptionIndex:
        """The subscriptions of a tenant that was loaded."""
        return self._tenants[tenant_id].index

    def note_changes(self, changed: Iterable[tuple[TenantId, WebhookId]] | None) -> None:
        """Note subscriptions that are to be read again; None stands for all."""
        if changed is None:
            # Not removed: events that were found before are just being matched.
            for each in self._tenants.values():
                each.loaded_at = -inf
            return
        for tenant_id, webhook_id in changed:
            if tenant := self._tenants.get(tenant_id):
                tenant.changed.add(webhook_id)

    async def load_few(self, tenants: Iterable[TenantId]) -> set[TenantId]:
        """
        Bring the tenants up to date of which that takes a moment.

        Returns the others, which need `load`: they have many subscriptions, large ones, or many
        changes, or there are too many tenants.
        """
        time_slice = TimeSlice()
        wanted = set(tenants)
        known = {each for each in wanted if self._is_fresh(each)}
        many = {
            each
            for each in known
            if self._tenants[each].loading or len(self._tenants[each].changed) > FEW
        }
        pieces = [[each] for each in known - many if self._tenants[each].changed]
        missing = list(wanted - known)
        pieces += [
            missing[start : start + FEW_TENANTS] for start in range(0, len(missing), FEW_TENANTS)
        ]
        many |= await self._load_pieces(pieces, time_slice)
        for tenant_id in wanted - many:
            if tenant_id in self._tenants:
                self._tenants.move_to_end(tenant_id)
        self._forget_oldest(wanted)
        return many

    async def load(self, tenant_id: TenantId) -> SubscriptionIndex:
        """
        Bring a tenant up to date, however many subscriptions it has, page by page.

        Returns them; they stay as they are when the tenant is forgotten meanwhile.
        """
        time_slice = TimeSlice()
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
        async with self._database.connection() as db:
            await self._refresh(db, tenant, time_slice, most_bytes=subscriptions.ALONE)
        self._forget_oldest({tenant_id})
        return tenant.index

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
        for start in range(0, len(ids), PAGE):
            async with self._database.connection() as db:
                page = ids[start : start + PAGE]
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
        return True

    async def _put(self, db: Connection, tenant: _Tenant, subscription: Subscription) -> None:
        before = len(tenant.index)
        matcher = await matcher_of(db, subscription) if subscription.is_active else None
        if matcher is None:
            tenant.index.remove(subscription.webhook_id)
        else:
            tenant.index.put(subscription.webhook_id, matcher)
        self._counted(tenant, before)

    def _remove(self, tenant: _Tenant, webhook_id: WebhookId) -> None:
        before = len(tenant.index)
        tenant.index.remove(webhook_id)
        self._counted(tenant, before)

    def _counted(self, tenant: _Tenant, before: int) -> None:
        """Count what was added to, or removed from, a tenant that is not forgotten."""
        if self._tenants.get(tenant.id) is tenant:
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
    Compile a subscription; None if no event can match it.

    The webhook's row then says why, and the log once: it stops no other webhook.
    """
    webhook_id = subscription.webhook_id
    try:
        matcher = compile_subscription(subscription.event_types, subscription.event_filters)
    except Exception:  # one customer's filter must not stop others' events
        log.exception("webhook.filter_failed", webhook_id=str(webhook_id))
        matcher = FAILED
    reason = reason_for_no_match(matcher)
    if reason != subscription.filter_error:
        await subscriptions.note_filter_error(db, webhook_id, reason)
        if reason is not None:
            unusable = isinstance(matcher, UnusableFilter)
            event = "webhook.filter_unusable" if unusable else "webhook.matches_nothing"
            log.warning(event, webhook_id=str(webhook_id), reason=reason)
    return None if isinstance(matcher, UnusableFilter) or reason is not None else matcher
