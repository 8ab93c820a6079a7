"""Webhooks: probe an endpoint that is failing."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.resources.holds import refuse_if_held
from daemon.core.model.ids import WebhookId
from daemon.store import retries
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class WebhookProbe:
    """Probes webhooks."""

    database: Database

    @operation(
        "POST /api/webhooks/{id}/probe",
        operation_id="probeWebhook",
        tag="Webhooks",
        summary="Probe a webhook now",
        description=(
            "While a webhook is failing, its attempts are spaced out. This makes its oldest pending"
            " attempt at once, without waiting for `nextProbeAt`: a success ends the spacing. A"
            " paused or held webhook, or one with nothing pending, is a 409."
        ),
        responses={202: ("The attempt that is now due.", schemas.RetryStarted)},
        problems=(409,),
        links={"retrieve": Link("retrieveDelivery")},
    )
    async def probe(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem: 404 for an unknown webhook, 409 if it is paused, held or idle."""
        async with self.database.transaction() as db:
            probed = await retries.probe_now(db, request.tenant_id, WebhookId(request.id))
            if isinstance(probed, retries.RetryDue):
                await refuse_if_held(db, request.tenant_id)
                await request.audit.write(db)
        match probed:
            case None:
                raise not_found("webhook")
            case retries.WebhookPaused():
                raise Problem(409, "the webhook is paused: resume it first")
            case retries.NothingPending():
                raise Problem(409, "nothing is pending for this webhook: send a test event instead")
            case retries.RetryDue():
                return ApiResponse(202, schemas.RetryStarted(id=probed.delivery_id))
