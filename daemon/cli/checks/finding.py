"""The result of one check."""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How a check ended; the value is the `status` in `webhookd check --json`."""

    OK = "good"
    WARNING = "remark"
    ERROR = "wrong"

    @property
    def symbol(self) -> str:
        """The character printed before the finding."""
        return {Status.OK: "✓", Status.WARNING: "!", Status.ERROR: "✗"}[self]

    @property
    def colour(self) -> str:
        """The symbol's style, in rich's words."""
        return {Status.OK: "green", Status.WARNING: "yellow", Status.ERROR: "bold red"}[self]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one subject; the ids are set when it concerns a single webhook."""

    status: Status
    check: str
    message: str
    tenant_id: str | None = None
    webhook_id: str | None = None

    def as_json(self) -> dict[str, str]:
        """The finding as an entry of `checks` in `webhookd check --json`."""
        entry = {"status": self.status.value, "check": self.check, "message": self.message}
        if self.webhook_id is not None and self.tenant_id is not None:
            entry |= {"tenantId": self.tenant_id, "webhookId": self.webhook_id}
        return entry


def ok(check: str, message: str) -> Finding:
    """A finding that all is as the daemon needs it."""
    return Finding(Status.OK, check, message)


def warning(check: str, message: str) -> Finding:
    """A finding that the operator should know; the daemon works all the same."""
    return Finding(Status.WARNING, check, message)


def error(check: str, message: str) -> Finding:
    """A finding that keeps the daemon from working, or a webhook from its deliveries."""
    return Finding(Status.ERROR, check, message)
