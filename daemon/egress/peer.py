"""The receiver of a request, and the identity that the webhook presents to it."""

from dataclasses import dataclass

from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate
from daemon.core.policy.urls import Target

PeerKey = tuple[bool, str, int, ClientCertificate | None, TenantId | None]


@dataclass(frozen=True, slots=True)
class Peer:
    """
    A target and the client certificate presented there, if any.

    Connections with the same `key` are interchangeable. The certificate is part of it: a receiver
    that recognises a webhook by its certificate must not mistake another webhook for it. So is the
    tenant: what one tenant's connection has been through concerns no other.
    """

    target: Target
    client: ClientCertificate | None = None
    tenant_id: TenantId | None = None

    @property
    def key(self) -> PeerKey:
        """TLS or not, host, port, client certificate and tenant."""
        target = self.target
        return (target.tls, target.host, target.port, self.client, self.tenant_id)
