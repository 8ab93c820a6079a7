"""A webhook's secrets, as stored and as decrypted; their `repr` never shows one."""

from dataclasses import dataclass, field

from daemon.core.model.ids import WebhookId
from daemon.core.model.value import value

# Shown in place of a secret.
HIDDEN = "[hidden]"


@value(frozen=True, slots=True)
class StoredSecrets:
    """
    A webhook's secrets as its row holds them, each one sealed or plain.

    `previous` is set only while a rotation overlaps. `custom_headers` is JSON text. `sealed_with`
    is the id of the key that seals all of them, and empty when any of them may be plain.
    `endpoint_url` is the webhook's URL: sealed headers and keys open for its origin only.
    """

    webhook_id: WebhookId
    current: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    custom_headers: str | None = field(default=None, repr=False)
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    sealed_with: str = ""
    endpoint_url: str = field(kw_only=True, repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Client certificate chain and private key (both PEM), presented for mutual TLS."""

    certificate: str
    key: str = field(repr=False)


@value(frozen=True, slots=True)
class Credentials:
    """A webhook's decrypted secrets: signing secrets, custom headers and client certificate."""

    secret: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client: ClientCertificate | None = None
