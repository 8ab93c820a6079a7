"""Settings as the values that rules elsewhere take."""

from daemon.config.config import Config
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.webhook_limits import WebhookLimits


def egress_policy(config: Config) -> EgressPolicy:
    """The operator's egress settings as the policy that enforces them."""
    egress = config.egress
    return EgressPolicy(egress.allow_http, egress.allow_networks, egress.allow_ports)


def health_limits(config: Config) -> HealthLimits:
    """The numbers of failures at which an endpoint is failing, and is paused."""
    return HealthLimits(config.delivery.failing_after, config.delivery.pause_after)


def webhook_limits(config: Config) -> WebhookLimits:
    """How many webhooks a tenant may have over the API."""
    return WebhookLimits(config.limits.webhooks_per_tenant, config.limits.webhooks_per_host)


def master_keys(config: Config) -> list[str]:
    """The configured master keys, the newest first."""
    return [key.get_secret_value() for key in config.security.master_keys]
