"""Tenant tokens as they are stored: what one permits and how long, never the token itself."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId, TokenId


@dataclass(frozen=True, slots=True)
class StoredToken:
    """`created_by` is the name of the operator's token that created it."""

    id: TokenId
    tenant_id: TenantId
    scope: Scope
    created_by: str
    created_at: datetime
    expires_at: datetime
