"""
Which domain names may be looked up: those that a host on the public internet can have.

All other names are refused before any lookup and with one reason, so that the reason does not say
whether such a name exists in the network around this machine.
"""

from collections.abc import Iterator

from daemon.core.policy.addresses import DENIED, NOT_PUBLIC, judge_address
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal

LOCALHOST = "localhost"
LOOPBACK = ("127.0.0.1", "::1")

# These and the names below them. `example` is reserved too, but no network uses it.
NEVER_PUBLIC = frozenset(
    {
        # IANA's special-use domain names (RFC 6761, 6762, 7686 and 9476); below `arpa` are the
        # reverse zones, home.arpa (RFC 8375) and other names for infrastructure, never for hosts.
        "alt", "arpa", "invalid", "local", "onion", "test",
        # Reserved by ICANN for private use, or not delegated because of such use.
        "corp", "home", "internal", "mail",
        # Customary in private networks (RFC 6762, appendix G, and defaults of routers).
        "domain", "intra", "intranet", "lan", "localdomain", "localnet", "priv", "private",
        # Services of clusters: Kubernetes (also abbreviated, as in kubernetes.default), Consul, ...
        "cluster", "consul", "default", "docker", "kube-public", "kube-system", "marathon", "mesos",
        "nomad", "pod", "svc", "swarm",
        # Metadata services of clouds; most have a name in `internal` or a single label.
        "metadata.cloud.ibm.com", "metadata.goog", "metadata.packet.net",
        "metadata.platformequinix.com", "metadata.tencentyun.com",
    }
)  # fmt: skip

NOT_PUBLIC_NAME = Refusal("the host's name is not public; use a host on the public internet")


def judge_name(name: str, policy: EgressPolicy) -> Refusal | None:
    """Return why `name`, in lower-case ASCII and without a final dot, may not be looked up."""
    if is_listed(name, policy.deny_hosts):
        return DENIED
    if is_localhost(name):
        return None if loopback_addresses(policy) else NOT_PUBLIC
    if is_listed(name, policy.allow_hosts):
        return None
    if "." not in name or name in policy.machine_names or name in NEVER_PUBLIC:
        return NOT_PUBLIC_NAME
    return NOT_PUBLIC_NAME if any(parent in NEVER_PUBLIC for parent in _parents(name)) else None


def normal_name(name: str) -> str:
    """Return an ASCII name in the form in which names are compared: lower case, no final dot."""
    return name.lower().removesuffix(".")


def is_listed(name: str, patterns: frozenset[str]) -> bool:
    """Whether `patterns` hold `name`, or `*.` and one of the names above it."""
    return name in patterns or any(f"*.{parent}" in patterns for parent in _parents(name))


def is_localhost(name: str) -> bool:
    """Whether `name` is this machine itself, whatever a resolver says (RFC 6761, section 6.3)."""
    return name == LOCALHOST or name.endswith(f".{LOCALHOST}")


def loopback_addresses(policy: EgressPolicy) -> list[str]:
    """Return the addresses of localhost that may be connected to."""
    return [address for address in LOOPBACK if judge_address(address, policy) is None]


def _parents(name: str) -> Iterator[str]:
    """Yield `b.c` and `c` for `a.b.c`."""
    while "." in name:
        name = name.partition(".")[2]
        yield name
