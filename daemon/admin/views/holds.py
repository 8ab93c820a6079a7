"""
Holds in responses.

Tenants see that they are held and since when, not by whom and why.
"""

from collections.abc import Sequence

from daemon.admin import schemas
from daemon.core.model.holds import Hold
from daemon.core.unprintable import escape


def holds_response(held: Sequence[Hold], total: int, *, for_tenant: bool) -> schemas.Holds:
    """Show these holds, of `total`; `for_tenant` hides what is the operator's own."""
    return schemas.Holds(held=[_hold(each, for_tenant=for_tenant) for each in held], total=total)


def _hold(hold: Hold, *, for_tenant: bool) -> schemas.Hold:
    return schemas.Hold(
        tenant_id=hold.tenant_id,
        since=hold.since,
        held_by=None if for_tenant else escape(hold.held_by),
        reason=None if for_tenant or hold.reason is None else escape(hold.reason),
    )
