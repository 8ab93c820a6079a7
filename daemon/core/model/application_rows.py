"""Rows that the application wrote wrongly, as `webhookd check` and the log report them."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from daemon.core.model.ids import TenantId


class Slip(StrEnum):
    """What is wrong with a row, and how it is read; the value is a sentence about the row."""

    UNKNOWN_STATUS = (
        "its status is none of pending_retry, success and failed, so it is neither sent nor listed"
        " by status"
    )
    PENDING_WITHOUT_TIME = (
        "it is pending_retry without next_retry_at, and the trigger that takes that as now did not"
        " run: it is not sent"
    )
    EVENT_WITHOUT_TIME = (
        "its created_at is NULL: it is sent with the time at which it came in, no replay finds it,"
        " and it never expires"
    )
    EVENT_WITHOUT_TYPE = (
        "its event_type is NULL: it is sent with an empty type, to webhooks that subscribe to every"
        " type"
    )


@dataclass(frozen=True, slots=True)
class WrongRow:
    """A row, by its id and its table; `detail` is the value that is wrong, if there is one."""

    slip: Slip
    table: str
    id: UUID
    tenant_id: TenantId | None = None
    detail: str | None = None
