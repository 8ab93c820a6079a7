"""Webhooks: pause and resume."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import require_found
from daemon.admin.resources.notification_emails import NotificationEmails
from daemon.admin.views.webhooks import webhook_response
from daemon.core.model.ids import WebhookId
from daemon.secrets.encryption import Vault
from daemon.store import webhooks
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class WebhookActivation:
    """Pauses and resumes webhooks."""

    database: Database
    vault: Vault
    emails: NotificationEmails
    schedules: AbstractSet[str]

    @operation(
        "POST /api/webhooks/{id}/pause",
        operation_id="pauseWebhook",
        tag="Webhooks",
        summary="Pause a webhook",
        description=(
            "Pending deliveries wait until the webhook is resumed. A replay can send the events"
            " that arrive in the meantime."
        ),
        responses={200: ("The webhook.", schemas.Webhook)},
    )
    async def pause(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook."""
        return await self._set_active(request, active=False)

    @operation(
        "POST /api/webhooks/{id}/resume",
        operation_id="resumeWebhook",
        tag="Webhooks",
        summary="Resume a webhook",
        description="Also resets its count of consecutive failures.",
        responses={200: ("The webhook.", schemas.Webhook)},
    )
    async def resume(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook."""
        return await self._set_active(request, active=True)

    async def _set_active(self, request: ApiRequest, *, active: bool) -> ApiResponse:
        async with self.database.transaction() as db:
            webhook = require_found(
                await webhooks.set_active(
                    db, request.tenant_id, WebhookId(request.id), active=active
                ),
                "webhook",
            )
            await request.audit.write(db)
        shown = webhook_response(webhook, self.vault, self.emails.allowed, schedules=self.schedules)
        return ApiResponse(200, shown)
