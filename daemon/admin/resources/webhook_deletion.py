"""Webhooks: delete."""

from dataclasses import dataclass

from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import require_found
from daemon.core.model.ids import WebhookId
from daemon.store import operational_events, webhooks
from daemon.store.database import Database

BATCH_SIZE = 2000  # deliveries per transaction


@dataclass(frozen=True, slots=True)
class WebhookDeletion:
    """Deletes webhooks with their deliveries."""

    database: Database

    @operation(
        "DELETE /api/webhooks/{id}",
        operation_id="deleteWebhook",
        tag="Webhooks",
        summary="Delete a webhook and all its deliveries",
        responses={204: ("The webhook was deleted.", None)},
    )
    async def delete(self, request: ApiRequest) -> ApiResponse:
        """
        Delete the deliveries in batches first: one statement for a million would take too long.

        Raises Problem (404) for an unknown webhook.
        """
        tenant_id, webhook_id = request.tenant_id, WebhookId(request.id)
        async with self.database.transaction() as db:
            await operational_events.leave_out_pauses(db)
            paused = await webhooks.set_active(db, tenant_id, webhook_id, active=False)
            require_found(paused, "webhook")
            # Recorded now: should the deletion be interrupted, it is known who began it.
            await request.audit.write(db)
        while await self._delete_batch(webhook_id):
            pass
        async with self.database.transaction() as db:
            await webhooks.delete(db, tenant_id, webhook_id)
        return ApiResponse(204)

    async def _delete_batch(self, webhook_id: WebhookId) -> int:
        async with self.database.transaction(durable=False) as db:
            return await webhooks.delete_some_deliveries(db, webhook_id, limit=BATCH_SIZE)
