"""
The limits on the number of a tenant's webhooks, for what the API creates and moves.

Rule: whatever the application inserts is served; the API adds nothing beyond the limits, not even
when it is asked twice at the same time. Nor does it replace webhooks without end: each that was
deleted leaves its history, and records of the audit, for the time of retention.
"""

from dataclasses import dataclass
from datetime import timedelta

from daemon.admin.api.problems import Problem
from daemon.core.model.ids import TenantId
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import judge_url
from daemon.core.policy.webhook_limits import WebhookLimits
from daemon.store import webhook_limits
from daemon.store.session import Connection

# More than any tenant has, so that all of them can be replaced at once, and once more.
MOST_DELETED = 1000
MOST_DELETED_PER_LIMIT = 2
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class WebhookQuota:
    """Refuses webhooks beyond the limits, within the transaction that writes them."""

    limits: WebhookLimits
    policy: EgressPolicy

    async def check_new(self, db: Connection, tenant_id: TenantId, url: str) -> None:
        """
        Raises Problem: 409 if the tenant may not have one more webhook, or not at this host; 429 if
        it has deleted very many within an hour.
        """
        await webhook_limits.lock(db, tenant_id)
        await self.count_new(db, tenant_id, url)

    async def count_new(self, db: Connection, tenant_id: TenantId, url: str) -> None:
        """Likewise, without a lock: another request may create one meanwhile."""
        if self.limits.per_tenant:
            count = await webhook_limits.count_of_tenant(db, tenant_id, most=self._most)
            if count >= self.limits.per_tenant:
                raise _exceeded("this tenant has", count, self.limits.per_tenant)
        await self._check_host(db, tenant_id, self._host_of(url))
        await self._check_deleted(db, tenant_id)

    async def check_move(
        self, db: Connection, tenant_id: TenantId, *, old_url: str, new_url: str
    ) -> None:
        """Raises Problem (409) if a webhook moves to a host where the tenant may have no more."""
        host = self._host_of(new_url)
        if host == self._host_of(old_url):
            return
        await webhook_limits.lock(db, tenant_id)
        await self._check_host(db, tenant_id, host)

    async def _check_host(self, db: Connection, tenant_id: TenantId, host: str | None) -> None:
        if not self.limits.per_host or host is None:
            return
        count = await webhook_limits.count_at_host(db, tenant_id, _spellings(host), most=self._most)
        if count >= self.limits.per_host:
            raise _exceeded(f"at {host}, this tenant has", count, self.limits.per_host)

    async def _check_deleted(self, db: Connection, tenant_id: TenantId) -> None:
        most = max(MOST_DELETED, MOST_DELETED_PER_LIMIT * self.limits.per_tenant)
        count = await webhook_limits.count_deleted(db, tenant_id, within=HOUR, most=most)
        if count >= most:
            raise Problem(
                429,
                f"{most} webhooks of this tenant were deleted within an hour: try again later",
                headers={"Retry-After": "600"},
            )

    @property
    def _most(self) -> int:
        """How many webhooks are counted: enough for each limit."""
        limits = self.limits
        return max(webhook_limits.MOST_COUNTED, limits.per_tenant, limits.per_host)

    def _host_of(self, url: str) -> str | None:
        target = judge_url(url, self.policy)
        return None if isinstance(target, Refusal) else target.host.rstrip(".")


def _exceeded(subject: str, count: int, limit: int) -> Problem:
    return Problem(
        409,
        f"{subject} {count} webhooks, and at most {limit} are allowed",
        members={"limit": limit, "count": count},
    )


def _spellings(host: str) -> list[str]:
    """The host as it may stand in a stored URL: in ASCII or as its owner writes it."""
    try:
        written = host.encode("ascii").decode("idna")
    except UnicodeError:
        written = host
    return [host, written, f"[{host}]"]
