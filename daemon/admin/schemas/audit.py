"""Audit records: who did what, or was refused it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.cursor import CursorField
from daemon.admin.schemas.fields import Text
from daemon.admin.schemas.timestamps import Timestamp


class AuditRecord(ResponseModel):
    """One change or refused request."""

    id: UUID
    at: datetime
    action: str
    """The `operationId`; of a command, that of the operation that does the same."""
    actor_kind: Literal["operator", "tenant", "commandLine", "unknown"]
    """`unknown` is the holder of a token that is not valid."""
    actor: str | None
    """
    The name of an operator token, the id of a tenant token, or a user of the operating system,
    which tenants do not see.
    """
    peer: str | None
    """
    The client's address, or the host of a command. Tenants see those of their own tokens.
    """
    tenant_id: UUID | None
    object_type: str | None
    object_id: UUID | None
    outcome: Literal["done", "refused", "failed"]
    status: int | None
    """The status of the response; null for a command."""
    reason: str | None
    """Why, where the caller said so; null for tenants."""
    count: int
    """How many requests the record stands for: refused ones that are alike share a record."""


class AuditRecordList(ResponseModel):
    """A page of audit records, newest first."""

    records: list[AuditRecord]
    next: str | None
    """
    The value of `before` for the next page; null on the last page. A filtered page may be short
    or empty although more pages follow.
    """


class AuditQuery(RequestModel):
    """The records to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    action: Annotated[Text, Field(max_length=60)] | None = None
    """An `operationId`, such as `deleteWebhook`."""
    object_id: UUID | None = None
    before: CursorField | None = None
    """`next` of the previous page, the id of a record, or a time: older records only."""
    from_: Annotated[Timestamp | None, Field(alias="from")] = None
    """The start of the time range, inclusive."""
    to: Timestamp | None = None
    """The end of the time range, exclusive."""
