"""Settings as the values that rules elsewhere take."""

from daemon.config.config import Config
from daemon.config.machine_names import machine_names
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.core.policy.egress_policy import EgressPolicy


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
    return HealthLimits(config.delivery.failing_after, config.delivery.pause_after)


def master_keys(config: Config) -> list[str]:
    """The configured master keys, the newest first."""
    return [key.get_secret_value() for key in config.security.master_keys]
