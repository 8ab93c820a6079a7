"""Tenants as operators look at them: how their webhooks are doing."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.model.ids import TenantId

FIRST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class TenantPlace:
    """
    A place in the list of tenants: those with more failing and paused webhooks come before it.

    Without any, tenants are in the order of their ids.
    """

    failing: int
    paused: int
    id: UUID


@dataclass(frozen=True, slots=True)
class TenantOverview:
    """
    One tenant; `name` is None where the application has none, or it may not be read.

    `webhooks` stops at a bound, as do `failing` and `paused`. `oldest_due_seconds` is how late the
    oldest attempt is that is due at an active webhook; None if none is. It and `last_event_at` are
    None, too, if finding them takes too long.
    """

    id: TenantId
    name: str | None
    webhooks: int
    failing: int
    paused: int
    oldest_due_seconds: float | None
    last_event_at: datetime | None
