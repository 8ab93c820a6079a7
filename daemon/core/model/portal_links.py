"""Portal links as they are stored: whom one lets into the console and how long, never its code."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId, TokenId, WebhookId


class Theme(StrEnum):
    """The colours of the console; without one, the browser's preference decides."""

    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class PortalLink:
    """
    `created_by` is the name of the operator's token that created it.

    `entered_at` is when its code was used; None until then.
    """

    id: TokenId
    tenant_id: TenantId
    webhook_id: WebhookId | None
    scope: Scope
    theme: Theme | None
    created_by: str
    created_at: datetime
    entered_at: datetime | None
    expires_at: datetime
