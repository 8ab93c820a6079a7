"""Audit records of commands: who is a user of the operating system, where is this machine."""

import os
import pwd
import socket
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from daemon.core.model.audit import AuditRecord
    from daemon.core.model.ids import TenantId


def command_record(
    action: str, tenant_id: "TenantId | None", *, object_type: str, object_id: UUID | None = None
) -> "AuditRecord":
    """The record of what this command does; `action` is the id of the API's operation for it."""
    from daemon.core.model.audit import Actor, ActorKind, AuditRecord

    return AuditRecord(
        action=action,
        actor=Actor(ActorKind.COMMAND_LINE, _user()),
        peer=socket.gethostname(),
        tenant_id=tenant_id,
        object_type=object_type,
        object_id=object_id,
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
