"""Deliveries: list, retrieve, retry."""

import time
from dataclasses import dataclass
from functools import partial
from math import ceil

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import Problem, not_found, require_found
from daemon.admin.resources.cursor import next_cursor, page_start
from daemon.admin.views.deliveries import delivery_detail_response, delivery_response
from daemon.admin.views.events import MAX_DATA_BYTES
from daemon.core.model.ids import DeliveryId, EventId, WebhookId
from daemon.core.scheduling.daily_quota import DailyQuota
from daemon.runtime.offload import Offload
from daemon.store import attempts, retries, retry_lock, webhooks
from daemon.store.database import Database
from daemon.store.listing import ListFilter


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Operations on deliveries; each one is one attempt."""

    database: Database
    offload: Offload
    copies: DailyQuota

    @operation(
        "GET /api/webhooks/{id}/deliveries",
        operation_id="listWebhookDeliveries",
        tag="Deliveries",
        summary="List deliveries of a webhook",
        description="Newest first.",
        query=schemas.WebhookDeliveriesQuery,
        responses={200: ("A page of deliveries.", schemas.DeliveryList)},
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook or an unknown `before`."""
        query: schemas.WebhookDeliveriesQuery = request.query
        webhook_id = WebhookId(request.id)
        selected = ListFilter(query.event_type, query.status, query.from_, query.to)
        async with self.database.connection() as db:
            require_found(await webhooks.get(db, request.tenant_id, webhook_id), "webhook")
            before = await page_start(
                query.before,
                partial(attempts.cursor_of, db, webhook_id),
                absent="before: this webhook has no delivery with this id",
            )
            found, following = await attempts.list_for_webhook(
                db,
                webhook_id,
                selected,
                before=before,
                limit=query.limit,
                event_id=None if query.event_id is None else EventId(query.event_id),
            )
        return ApiResponse(
            200,
            schemas.DeliveryList(
                deliveries=[delivery_response(each) for each in found],
                next=next_cursor(following),
            ),
        )

    @operation(
        "GET /api/deliveries/{id}",
        operation_id="retrieveDelivery",
        tag="Deliveries",
        summary="Retrieve a delivery",
        description=(
            "The request as it was sent, the response as it was stored, and the other attempts to"
            " deliver the same event to the same webhook."
        ),
        id_of="delivery",
        responses={200: ("The delivery.", schemas.DeliveryDetail)},
    )
    async def retrieve(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown delivery."""
        tenant_id = request.tenant_id
        async with self.database.connection() as db:
            stored = require_found(
                await attempts.get_details(
                    db, tenant_id, DeliveryId(request.id), most_bytes=MAX_DATA_BYTES
                ),
                "delivery",
            )
            attempt = stored.attempt
            siblings = await attempts.list_for_event(
                db, tenant_id, attempt.event_id, webhook_id=attempt.webhook_id
            )
        return await self.offload.run(
            lambda: ApiResponse(200, delivery_detail_response(stored, siblings)),
            size=len(stored.data or ""),
            owner=tenant_id,
        )

    @operation(
        "POST /api/deliveries/{id}/retry",
        operation_id="retryDelivery",
        tag="Deliveries",
        summary="Retry a delivery now",
        description=(
            "A pending attempt is made at once; otherwise a new attempt is added. A paused webhook"
            " is a 409, and so is a delivery that was too large to be sent."
        ),
        id_of="delivery",
        responses={202: ("The attempt that is now due.", schemas.RetryStarted)},
        problems=(409, 429),
        links={"retrieve": Link("retrieveDelivery")},
    )
    async def retry(self, request: ApiRequest) -> ApiResponse:
        """
        Raises Problem: 404 for an unknown delivery, 409 for a paused webhook, for a body that is
        too large, and after very many attempts, 429 after very many bytes of the tenant's.
        """
        tenant_id, delivery_id = request.tenant_id, DeliveryId(request.id)
        if wait := self.copies.wait(tenant_id, now=time.monotonic()):
            raise Problem(
                429,
                "replays and retries have copied as much data of this tenant as they may in a day",
                headers={"Retry-After": str(ceil(wait))},
            )
        async with self.database.connection() as db:
            webhook_id = require_found(
                await retries.webhook_of(db, tenant_id, delivery_id), "delivery"
            )
        async with self.database.locked(retry_lock.lock_name(webhook_id)) as db:
            retried = await retries.retry_now(db, tenant_id, delivery_id)
            if isinstance(retried, retries.RetryDue):
                await request.audit.write(db)
                self.copies.note(tenant_id, retried.copied_bytes, now=time.monotonic())
        match retried:
            case None:
                raise not_found("delivery")
            case retries.TooLarge():
                raise Problem(409, "the body is larger than may be sent: it cannot be sent again")
            case retries.TooOften():
                raise Problem(
                    409, f"the event was attempted {retries.MAX_ATTEMPTS:,} times at this webhook"
                )
            case retries.WebhookPaused():
                raise Problem(409, "the webhook is paused: resume it first")
            case retries.RetryDue():
                return ApiResponse(202, schemas.RetryStarted(id=retried.delivery_id))
