"""Settings as the values that rules elsewhere take."""

from urllib.parse import urlsplit

from daemon.config.config import Config
from daemon.config.machine_names import machine_names
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.mail_recipients import AllowedRecipients
from daemon.core.policy.webhook_limits import WebhookLimits


def egress_policy(config: Config) -> EgressPolicy:
    """The operator's egress settings and this machine's names, as the policy of requests."""
    egress = config.egress
    return EgressPolicy(
        allow_http=egress.allow_http,
        allow_networks=egress.allow_networks,
        allow_ports=egress.allow_ports,
        deny_networks=egress.deny_networks,
        allow_hosts=frozenset(egress.allow_hosts),
        deny_hosts=frozenset(egress.deny_hosts),
        machine_names=machine_names(),
    )


def health_limits(config: Config) -> HealthLimits:
    """The numbers of failures at which an endpoint is failing, and is paused."""
    delivery = config.delivery
    return HealthLimits(delivery.failing_after, delivery.pause_after, delivery.failing_backoff)


def allowed_recipients(config: Config) -> AllowedRecipients:
    """The recipients that need no confirmation: those that operators allow, and themselves."""
    notifications = config.notifications
    return AllowedRecipients.of([*notifications.allowed_recipients, *notifications.to])


def accepted_hosts(config: Config) -> list[str]:
    """The values of the Host header that the admin server accepts."""
    public_url = config.admin.public_url
    public_host = None if public_url is None else urlsplit(public_url).hostname
    return [*config.admin.allowed_hosts, *([] if public_host is None else [public_host])]


def public_addresses(config: Config) -> list[str]:
    """Where requests come from, as customers write it into a firewall."""
    return [
        str(each.network_address if each.num_addresses == 1 else each)
        for each in config.egress.public_addresses
    ]


def webhook_limits(config: Config) -> WebhookLimits:
    """How many webhooks a tenant may have over the API."""
    return WebhookLimits(config.limits.webhooks_per_tenant, config.limits.webhooks_per_host)


def master_keys(config: Config) -> list[str]:
    """The configured master keys, the newest first."""
    return [key.get_secret_value() for key in config.security.master_keys]
