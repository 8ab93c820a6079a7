"""Webhooks: rotate the signing secret."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import Problem, require_found
from daemon.config import parse_duration
from daemon.core.model.ids import WebhookId
from daemon.secrets.encryption import Vault
from daemon.secrets.new_secret import new_secret
from daemon.secrets.sealing import seal_secret
from daemon.store import secret_rotation, webhooks
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class SecretRotation:
    """Rotates the secrets of webhooks."""

    database: Database
    vault: Vault

    @operation(
        "POST /api/webhooks/{id}/rotate-secret",
        operation_id="rotateWebhookSecret",
        tag="Webhooks",
        summary="Rotate the secret of a webhook",
        description=(
            "Requests are signed with both secrets until the overlap ends. Until then another"
            " rotation is a 409, unless it replaces the new secret or has no overlap."
        ),
        body=schemas.RotateSecretRequest,
        body_optional=True,
        responses={200: ("The new secret, shown only once.", schemas.RotatedSecret)},
        problems=(409,),
    )
    async def rotate(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem: 404 for an unknown webhook, 409 while a rotation is in progress."""
        body: schemas.RotateSecretRequest = request.body
        webhook_id = WebhookId(request.id)
        secret = new_secret()
        async with self.database.transaction() as db:
            require_found(
                await webhooks.get_for_update(db, request.tenant_id, webhook_id), "webhook"
            )
            rotated = await secret_rotation.rotate(
                db,
                webhook_id,
                seal_secret(secret, webhook_id, self.vault),
                overlap=parse_duration(body.overlap),
                replace=body.replace,
            )
            if isinstance(rotated, secret_rotation.RotationUnderWay):
                raise Problem(409, str(rotated))
            assert rotated is not None
            await request.audit.write(db)
        return ApiResponse(
            200,
            schemas.RotatedSecret(
                id=webhook_id,
                secret_key=secret,
                previous_secret_expires_at=rotated.overlap_until,
            ),
        )
