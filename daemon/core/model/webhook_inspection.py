"""What `webhookd check` finds in the database: its version, privileges, triggers and webhooks."""

from dataclasses import dataclass

from daemon.core.model.delivery_options import DEFAULT_OPTIONS, DeliveryOptions
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """PostgreSQL's version: `name` as the server prints it (`16.3`), `major` as a number (16)."""

    name: str
    major: int


@dataclass(frozen=True, slots=True)
class MissingPrivilege:
    """A privilege that a role lacks; `privilege` is None for a table that the role cannot see."""

    role: str
    object_name: str
    privilege: str | None


@dataclass(frozen=True, slots=True)
class DisabledTrigger:
    """A trigger of the schema that is disabled or missing."""

    name: str
    table: str

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return f"the trigger {self.name} on {self.table} is disabled or missing"


@dataclass(frozen=True, slots=True)
class InspectedWebhook:
    """
    The settings of a webhook that decide whether deliveries to it can be made, as stored.

    One that `is_unmarked` has the scope of operators without having been made by one.
    """

    id: WebhookId
    tenant_id: TenantId
    endpoint_url: str
    event_types: tuple[str, ...] | None
    event_filters: str | None
    is_active: bool
    secrets: StoredSecrets
    scope: str
    options: DeliveryOptions = DEFAULT_OPTIONS
    is_unmarked: bool = False
