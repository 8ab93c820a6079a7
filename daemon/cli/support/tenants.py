"""
The tenant that a command works for.

The rule: a tenant is only taken without being named if there is no other.
"""

import sys
from typing import TYPE_CHECKING
from uuid import UUID

from daemon.core.errors import UsageError, WebhookdError

if TYPE_CHECKING:
    from daemon.core.model.ids import TenantId
    from daemon.store.session import Connection

MOST_TENANTS_NAMED = 10


async def tenant_of_command(db: "Connection", given: UUID | None, *, create: bool) -> "TenantId":
    """
    Return the given tenant, or the only one there is; `create` makes one if there is none.

    Raises UsageError for an unknown or ambiguous tenant, WebhookdError if there is none, or none
    may be looked up.
    """
    from daemon.core.model.ids import TenantId
    from daemon.store import tenants

    if given is not None:
        if await tenants.exists(db, TenantId(given)) is False:
            raise UsageError(f"--tenant: there is no tenant {given}")
        return TenantId(given)
    candidates = await tenants.some(db, limit=MOST_TENANTS_NAMED + 1)
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise UsageError(f"--tenant: there are several; name one of {_listed(candidates)}")
    if not create:
        raise WebhookdError("there is no tenant yet: the application creates them")
    created = await tenants.create(db)
    print(f"webhookd: there was no tenant yet: created {created}", file=sys.stderr)
    return created


def _listed(tenants: "list[TenantId]") -> str:
    names = ", ".join(str(tenant) for tenant in tenants[:MOST_TENANTS_NAMED])
    return f"{names}, …" if len(tenants) > MOST_TENANTS_NAMED else names
