"""Which tenants have more webhooks than the API would let them create."""

from collections.abc import AsyncIterator

from daemon.cli.checks.finding import Finding, warning
from daemon.core.policy.webhook_limits import WebhookLimits
from daemon.store.session import Connection
from daemon.store.webhook_limits import Counted, hosts_above, tenants_above

MOST_NAMED = 10


async def check_limits(db: Connection, limits: WebhookLimits) -> AsyncIterator[Finding]:
    """A warning for each tenant above a limit, the first ones by name."""
    above: list[tuple[Counted, str]] = []
    if limits.per_tenant:
        limit = f"limits.webhooks_per_tenant ({limits.per_tenant})"
        above += [(each, limit) for each in await tenants_above(db, limits.per_tenant)]
    if limits.per_host:
        limit = f"limits.webhooks_per_host ({limits.per_host})"
        above += [(each, limit) for each in await hosts_above(db, limits.per_host)]
    for counted, limit in above[:MOST_NAMED]:
        at = "" if counted.host is None else f" at {counted.host}"
        yield warning(
            "limits",
            f"tenant {counted.tenant_id} has {counted.count} webhooks{at}, more than {limit}",
        )
    if len(above) > MOST_NAMED:
        yield warning("limits", f"{len(above) - MOST_NAMED} more tenants and hosts are above")
