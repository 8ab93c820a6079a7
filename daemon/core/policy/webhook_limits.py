"""How many webhooks a tenant may have, in all and at one host."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebhookLimits:
    """The operator's limits; 0 is no limit."""

    per_tenant: int = 0
    per_host: int = 0
