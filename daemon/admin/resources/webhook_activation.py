"""Webhooks: pause and resume, and the pauses there were."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import require_found
from daemon.admin.resources.notification_emails import NotificationEmails
from daemon.admin.views.explanations import pause_response
from daemon.admin.views.webhooks import webhook_response
from daemon.core.explanations.settings import pauses
from daemon.core.model.ids import WebhookId
from daemon.secrets.encryption import Vault
from daemon.store import notification_queue, webhook_history, webhooks
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

    @operation(
        "GET /api/webhooks/{id}/pauses",
        operation_id="listWebhookPauses",
        tag="Webhooks",
        summary="List pauses of a webhook",
        description=(
            "The latest first, as long as they are kept. A replay of a pause with"
            " `onlyUndelivered` sends the events that came in meanwhile."
        ),
        responses={200: ("The pauses.", schemas.PauseList)},
    )
    async def list_pauses(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook."""
        webhook_id = WebhookId(request.id)
        async with self.database.connection() as db:
            require_found(await webhooks.get(db, request.tenant_id, webhook_id), "webhook")
            webhook = await webhook_history.get(db, request.tenant_id, webhook_id)
        found = [] if webhook is None else pauses(webhook)
        return ApiResponse(200, schemas.PauseList(pauses=[pause_response(each) for each in found]))

    async def _set_active(self, request: ApiRequest, *, active: bool) -> ApiResponse:
        async with self.database.transaction() as db:
            webhook = require_found(
                await webhooks.set_active(
                    db, request.tenant_id, WebhookId(request.id), active=active
                ),
                "webhook",
            )
            await request.audit.write(db)
            if active:
                await notification_queue.notify_replay(db)  # those that wait for it go on
        shown = webhook_response(webhook, self.vault, self.emails.allowed, schedules=self.schedules)
        return ApiResponse(200, shown)
