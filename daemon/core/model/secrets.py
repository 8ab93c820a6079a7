"""A webhook's secrets, as stored and as opened."""

from dataclasses import dataclass, field

from daemon.core.model.ids import WebhookId

# What stands where something is that nobody may see.
HIDDEN = "[hidden]"


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """
    A webhook's secrets as its row holds them, each sealed or plain.

    `previous` is there while a rotation overlaps, `custom_headers` is JSON text, and `sealed_with`
    names the key that all of them are known to lie under.
    """

    webhook_id: WebhookId
    current: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    custom_headers: str | None = field(default=None, repr=False)
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    sealed_with: str = ""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """With which a webhook shows the receiver who calls: a chain and its key, both in PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a webhook's requests are signed with, and what they carry beside: all of it open."""

    secret: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client: ClientCertificate | None = None
