"""One finding of `webhookd check`."""

from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    """How a thing is; the value is what is printed before it."""

    GOOD = "✓"
    WRONG = "✗"
    REMARK = "!"

    @property
    def colour(self) -> str:
        return {"✓": "green", "✗": "bold red", "!": "yellow"}[self.value]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; the ids are there when it is about one webhook."""

    mark: Mark
    subject: str
    sentence: str
    tenant_id: str | None = None
    webhook_id: str | None = None

    def as_json(self) -> dict[str, str]:
        told = {"status": self.mark.name.lower(), "check": self.subject, "message": self.sentence}
        if self.webhook_id is not None and self.tenant_id is not None:
            told |= {"tenantId": self.tenant_id, "webhookId": self.webhook_id}
        return told
