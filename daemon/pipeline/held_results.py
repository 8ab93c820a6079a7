"""
Results that cannot be stored yet, because another transaction holds their row or webhook.

Or that would take long: for its foreign key, each row reads all versions of its webhook, and those
of `slow` tenants have many dead ones.

They are tried apart from all others, by webhook, at intervals that grow. The rule: however many are
held, they take a bounded memory and a try a bounded time, and a held result delays no result of
another webhook.
"""

import heapq
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf

from daemon.core.model.attempts import AttemptResult, Claim, Response, header_characters
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.pipeline.waiting_results import MOST_BYTES, WaitingResults, renewed, stored_bytes
from daemon.store import claim_leases
from daemon.store.database import Database

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 3.0
PROLONGED_AT_ONCE = 500
# Bytes of data and responses, by tenant and in all: results beyond them are kept without.
BYTES_OF_TENANT = 4 * 1024 * 1024
BYTES_KEPT = 32 * 1024 * 1024
# With so many results held, a tenant's webhooks get no further attempts until half are stored.
MOST_OF_TENANT = 200


@dataclass(slots=True)
class _OfWebhook:
    """The held results of one webhook."""

    tenant_id: TenantId
    since: float
    pause: float = FIRST_PAUSE_SECONDS
    results: list[AttemptResult] = field(default_factory=list)
    held_again: bool = False

    @property
    def claims(self) -> list[Claim]:
        """The claims of pending rows among the results'."""
        return [each.claim for each in self.results if not each.claim.from_inbox]


class HeldResults:
    """Keeps results, and prolongs their leases, so that their attempts are not made again."""

    def __init__(
        self,
        database: Database,
        *,
        lease: timedelta,
        slow: SlowTenants,
    ) -> None:
        self._database = database
        self._lease = lease
        self._slow = slow
        self._webhooks: dict[WebhookId, _OfWebhook] = {}
        self._due: list[tuple[float, WebhookId]] = []
        self._tried: list[WebhookId] = []
        self._prolonged_at = 0.0
        self._count: Counter[TenantId] = Counter()
        self._bytes: Counter[TenantId] = Counter()
        self._total_bytes = 0
        self._total = 0
        self.version = 0  # changes with `webhook_ids` and `full_tenants`
        self._full_tenants: set[TenantId] = set()

    def __len__(self) -> int:
        """How many results are kept."""
        return self._total

    @property
    def webhook_ids(self) -> frozenset[WebhookId]:
        """The webhooks of the results that are kept."""
        return frozenset(self._webhooks)

    @property
    def full_tenants(self) -> frozenset[TenantId]:
        """The tenants of which so many results are kept that no more attempts should be made."""
        return frozenset(self._full_tenants)

    def belongs(self, result: AttemptResult) -> bool:
        """Whether results of this webhook are kept, or of this tenant each row takes long."""
        claim = result.claim
        return claim.webhook_id in self._webhooks or self._slow.is_slow(
            claim.tenant_id, now=time.monotonic()
        )

    def take_long(self, results: Iterable[AttemptResult]) -> bool:
        """Whether storing any of these takes long, although nothing holds it."""
        now = time.monotonic()
        return any(self._slow.is_slow(each.claim.tenant_id, now=now) for each in results)

    def oldest_seconds(self) -> float:
        """How long the webhook has been held that has been so for longest; 0 if none is."""
        since = min((each.since for each in self._webhooks.values()), default=None)
        return 0.0 if since is None else time.monotonic() - since

    def several_tenants_seconds(self) -> float:
        """How long webhooks of more than one tenant have been held; 0 if they are not."""
        since: dict[TenantId, float] = {}
        for each in self._webhooks.values():
            since[each.tenant_id] = min(each.since, since.get(each.tenant_id, inf))
        return 0.0 if len(since) < 2 else time.monotonic() - sorted(since.values())[1]

    def add(self, results: Iterable[AttemptResult]) -> None:
        """
        Keep these as well; of those that were taken, their try has failed.

        Beyond the bounds of memory, data and response are dropped.
        """
        now = time.monotonic()
        for each in results:
            result = each if self._has_room(each) else _stripped(each)
            claim = result.claim
            of_webhook = self._webhooks.get(claim.webhook_id)
            if of_webhook is None:
                of_webhook = self._webhooks[claim.webhook_id] = _OfWebhook(claim.tenant_id, now)
                self.version += 1
                heapq.heappush(self._due, (now + FIRST_PAUSE_SECONDS, claim.webhook_id))
            of_webhook.results.append(result)
            of_webhook.held_again = True
            self._count_in(result, 1)

    def take_due(self, limit: int) -> list[AttemptResult]:
        """
        Remove and return results that are to be tried now; `end_try` follows.

        They are `limit` at most, and of MOST_BYTES together; a larger one is taken alone.
        """
        now, taken, left = time.monotonic(), list[AttemptResult](), MOST_BYTES
        while self._due and self._due[0][0] <= now and len(taken) < limit:
            webhook_id = self._due[0][1]
            of_webhook = self._webhooks[webhook_id]
            count = 0
            for result in of_webhook.results[: limit - len(taken)]:
                left -= stored_bytes(result)
                if taken and left < 0:
                    break
                taken.append(result)
                self._count_in(result, -1)
                count += 1
            if not count:
                break
            heapq.heappop(self._due)
            del of_webhook.results[:count]
            of_webhook.held_again = False
            self._tried.append(webhook_id)
        return taken

    def end_try(self) -> None:
        """Note that what was taken is stored, or was put back."""
        now = time.monotonic()
        few = MOST_OF_TENANT // 2
        emptied = {each for each in self._full_tenants if self._count[each] <= few}
        self._full_tenants -= emptied
        self.version += len(emptied)
        tried, self._tried = self._tried, []
        for webhook_id in tried:
            of_webhook = self._webhooks[webhook_id]
            if not of_webhook.results:
                del self._webhooks[webhook_id]
                self.version += 1
                continue
            due_at = now  # what is left has not been tried
            if of_webhook.held_again:
                of_webhook.pause = min(2 * of_webhook.pause, LONGEST_PAUSE_SECONDS)
                due_at += of_webhook.pause
            else:
                of_webhook.pause = FIRST_PAUSE_SECONDS
            heapq.heappush(self._due, (due_at, webhook_id))

    def _has_room(self, result: AttemptResult) -> bool:
        size = _kept_bytes(result)
        of_tenant = self._bytes[result.claim.tenant_id] + size
        return of_tenant <= BYTES_OF_TENANT and self._total_bytes + size <= BYTES_KEPT

    def _count_in(self, result: AttemptResult, change: int) -> None:
        tenant_id, size = result.claim.tenant_id, change * _kept_bytes(result)
        self._count[tenant_id] += change
        self._bytes[tenant_id] += size
        self._total_bytes += size
        self._total += change
        if self._count[tenant_id] >= MOST_OF_TENANT and tenant_id not in self._full_tenants:
            self._full_tenants.add(tenant_id)
            self.version += 1
        if not self._count[tenant_id]:
            del self._count[tenant_id], self._bytes[tenant_id]

    async def prolong(self, waiting: WaitingResults) -> None:
        """
        Prolong the leases of all, and of those that wait, a quarter of a lease after the last time.

        The leases of first attempts are those of their events: see `open_leases`.
        """
        now = time.monotonic()
        quarter = self._lease.total_seconds() / 4
        if now - self._prolonged_at < quarter:
            return
        self._prolonged_at = now
        oldest = waiting.oldest()
        claims = [each for of_webhook in self._webhooks.values() for each in of_webhook.claims]
        claims += waiting.claims() if oldest is not None and now - oldest >= quarter else []
        for first in range(0, len(claims), PROLONGED_AT_ONCE):
            await self._prolong(claims[first : first + PROLONGED_AT_ONCE], waiting)

    async def _prolong(self, claims: Sequence[Claim], waiting: WaitingResults) -> None:
        async with self._database.transaction(for_all=True) as db:
            leases = await claim_leases.prolong(db, claims, lease=self._lease)
        for webhook_id in {claim.webhook_id for claim in claims}:
            if of_webhook := self._webhooks.get(webhook_id):
                of_webhook.results = [renewed(each, leases) for each in of_webhook.results]
        waiting.renew(leases)


def _kept_bytes(result: AttemptResult) -> int:
    """About how many bytes a result keeps in memory, beside a few kilobytes."""
    response, size = result.outcome.result, len(result.claim.data or "")
    if isinstance(response, Response):
        size += len(response.body) + header_characters(response.headers)
    return size


def _stripped(result: AttemptResult) -> AttemptResult:
    """
    The result without response, credentials and data.

    Its row gets no data, and a next attempt reads them from the event.
    """
    claim, response = result.claim, result.outcome.result
    secrets = StoredSecrets(claim.webhook_id, "", endpoint_url="")
    if claim.from_inbox:
        claim = replace(claim, payload_bytes=None)
    if isinstance(response, Response):
        response = replace(response, headers=(), body="", truncated=True)
    return replace(
        result,
        claim=replace(claim, data=None, secrets=secrets),
        outcome=replace(result.outcome, result=response, trace=None),
    )
