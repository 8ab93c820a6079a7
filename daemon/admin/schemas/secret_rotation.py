"""The rotation of a webhook's secret."""

from datetime import datetime
from uuid import UUID

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.durations import Overlap


class RotateSecretRequest(RequestModel):
    """How long the previous secret keeps signing."""

    overlap: Overlap = "24h"
    """From 0s, which ends the previous secret at once, to 30d."""
    replace: bool = False
    """
    Replace the new secret of a rotation that is in progress; the previous one keeps its end.
    """


class RotatedSecret(ResponseModel):
    """The new secret, which is shown only once."""

    holds_credential = True

    id: UUID
    secret_key: str
    previous_secret_expires_at: datetime | None
