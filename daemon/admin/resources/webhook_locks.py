"""Locks that a change of a webhook takes before it locks rows, so that no two changes deadlock."""

from collections.abc import Set as AbstractSet

from daemon.core.model.ids import TenantId
from daemon.store import email_confirmations, webhook_limits


def lock_names(tenant_id: TenantId, members: AbstractSet[str]) -> list[str]:
    """The names of the locks that a request with these members may need."""
    names = {
        "notification_email": email_confirmations.lock_name(tenant_id),
        "endpoint_url": webhook_limits.lock_name(tenant_id),
    }
    return [name for member, name in names.items() if member in members]
