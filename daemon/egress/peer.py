"""The receiver of a request, and the identity that the webhook presents to it."""

from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate
from daemon.core.policy.urls import Target

PeerKey = tuple[bool, str, int, ClientCertificate | None, TenantId | None]


class Peer:
    """
    A target and the client certificate presented there, if any.

    Connections with the same `key` are interchangeable: TLS or not, host, port, certificate and
    tenant. The certificate is part of it: a receiver that recognises a webhook by its certificate
    must not mistake another webhook for it. So is the tenant: what one tenant's connection has been
    through concerns no other.
    """

    __slots__ = ("client", "key", "target", "tenant_id")

    def __init__(
        self,
        target: Target,
        client: ClientCertificate | None = None,
        tenant_id: TenantId | None = None,
    ) -> None:
        self.target = target
        self.client = client
        self.tenant_id = tenant_id
        self.key: PeerKey = (target.tls, target.host, target.port, client, tenant_id)
