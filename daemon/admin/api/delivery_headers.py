"""The headers of a delivery, as the documents describe them; the wire is core/wire/signing.py."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeliveryHeader:
    """A header, whether every delivery has it, and an example."""

    description: str
    is_always_there: bool
    example: str


DELIVERY_HEADERS: Mapping[str, DeliveryHeader] = {
    "X-PenguinMails-Event": DeliveryHeader("The event's type.", True, "email.opened"),
    "X-PenguinMails-Delivery-ID": DeliveryHeader(
        "The id of this attempt.", True, "01936f1e-2b4c-7d8e-9f0a-1b2c3d4e5f60"
    ),
    "X-PenguinMails-Signature": DeliveryHeader(
        "sha256= and the hex HMAC-SHA256 of the raw body, keyed with the whole secret.",
        True,
        "sha256=5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0",
    ),
    "X-PenguinMails-Signature-Previous": DeliveryHeader(
        "The same with the previous secret, while a rotation overlaps.",
        False,
        "sha256=0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0914",
    ),
    "webhook-id": DeliveryHeader(
        "Standard Webhooks: the event's id. Left out, with the two others, if the secret is not"
        " base64.",
        False,
        "evt_2f1f0c9b7a6e4d3c8b5a49382716f5e4",
    ),
    "webhook-timestamp": DeliveryHeader(
        "Standard Webhooks: when this attempt was made, in Unix seconds.", False, "1764081000"
    ),
    "webhook-signature": DeliveryHeader(
        "Standard Webhooks: v1, and the base64 HMAC-SHA256 of id.timestamp.body; two of them while"
        " a rotation overlaps.",
        False,
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
}
