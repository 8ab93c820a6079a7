"""How the installation delivers: retrieve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.views.durations import duration_text


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """
    Settings of the installation that customers need, to set up receivers and webhooks.

    `schedules` are those that a webhook can choose, `public_addresses` where requests come from.
    """

    timeout: timedelta
    schedule: Sequence[timedelta]
    schedules: Mapping[str, Sequence[timedelta]]
    failing_after: int
    pause_after: int
    max_body_bytes: int
    public_addresses: Sequence[str]

    @operation(
        "GET /api/delivery-settings",
        operation_id="retrieveDeliverySettings",
        tag="Webhooks",
        summary="Retrieve how deliveries are made",
        description="The installation's settings that receivers and webhooks' options depend on.",
        responses={200: ("The settings.", schemas.DeliverySettings)},
    )
    async def retrieve(self, _: ApiRequest) -> ApiResponse:
        """The same for every tenant."""
        return ApiResponse(
            200,
            schemas.DeliverySettings(
                timeout=duration_text(self.timeout),
                retry_schedule=_texts(self.schedule),
                retry_schedules={name: _texts(waits) for name, waits in self.schedules.items()},
                failing_after=self.failing_after,
                pause_after=self.pause_after,
                max_body_bytes=self.max_body_bytes,
                public_addresses=list(self.public_addresses),
            ),
        )


def _texts(waits: Sequence[timedelta]) -> list[str]:
    return [duration_text(each) for each in waits]
