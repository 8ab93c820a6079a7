"""One webhook: how it is doing, its deliveries, and the one that is looked at beside them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from daemon.admin.api.problems import not_found
from daemon.admin.console import times
from daemon.admin.console.form_times import as_timestamp
from daemon.admin.console.page import PageRequest, page, uuid_of
from daemon.admin.console.pages.delivery_rows import DeliveryRow, rows_of
from daemon.core.event_types import EVENT_TYPES

PER_PAGE = 50
STATUSES = {
    "": "All",
    "failed": "Failed",
    "exhausted": "Exhausted",
    "pending_retry": "Waiting",
    "success": "Delivered",
}
FILTERS = {"status": "status", "type": "eventType", "from": "from", "to": "to"}
RANGES = {"week": timedelta(days=7)}
MOST_REFRESHED = 20
BEFORE_THE_PAGE = timedelta(minutes=5)


class WebhookDeliveryPages:
    """Deliveries, the inspector, and what can be done with a delivery."""

    @page("GET /webhooks/{id}")
    async def deliveries(self, request: PageRequest) -> web.StreamResponse:
        """The newest deliveries, or those of the filters in the URL."""
        webhook_id = request.object_id
        filters, before = filters_of(request.query), request.query.get("before")
        listed = await request.api(
            "listWebhookDeliveries",
            webhook_id,
            query={"limit": str(PER_PAGE), **filters, **({"before": before} if before else {})},
        )
        # After the list, whose later changes come live, and with them the state.
        webhook = await request.api("retrieveWebhook", webhook_id)
        stats = await request.api("retrieveWebhookStats", webhook_id, query=_range(request))
        rows = rows_of(listed.deliveries)
        return await request.page(
            "webhook.html",
            webhook=webhook,
            tab="deliveries",
            rows=rows,
            next=listed.next,
            live=None if before else _shown(rows),
            begins=_begins(request, listed.deliveries),
            selected=await _selected(request),
            statuses=STATUSES,
            filtered=bool(filters),
            types=[each.name for each in EVENT_TYPES],
            stats=stats,
            waiting=_waiting(stats),
            last_failure=await _last_failure(request, webhook),
        )

    @page("GET /webhooks/{id}/rows", document=False)
    async def rows(self, request: PageRequest) -> web.StreamResponse:
        """The rows of some events as they are now, for the list that shows them."""
        webhook_id, found = request.object_id, []
        webhook = await request.api("retrieveWebhook", webhook_id)
        for text in request.query.get("events", "").split()[:MOST_REFRESHED]:
            listed = await request.api(
                "listWebhookDeliveries", webhook_id, query={"eventId": str(uuid_of(text))}
            )
            found += listed.deliveries
        path_of_list = f"{request.base}/webhooks/{webhook_id}"
        return await request.page(
            "delivery_rows.html", rows=rows_of(found), webhook=webhook, path_of_list=path_of_list
        )


def filters_of(query: Mapping[str, str]) -> dict[str, str]:
    """The filters in a page's URL by the names of the API."""
    return {
        FILTERS[name]: as_timestamp(value) if name in {"from", "to"} else value
        for name, value in query.items()
        if name in FILTERS
    }


async def _selected(request: PageRequest) -> Any:
    """Raises Problem (404) for an attempt of another webhook."""
    text = request.query.get("delivery")
    if text is None:
        return None
    delivery = await request.api("retrieveDelivery", uuid_of(text))
    if delivery.webhook_id != request.object_id:
        raise not_found("delivery")
    return delivery


async def _last_failure(request: PageRequest, webhook: Any) -> Any:
    """The failed attempt that says why the webhook fails; None if it does not, or none is found."""
    if not webhook.consecutive_failures:
        return None
    query = {"limit": "1", "status": "failed"}
    listed = await request.api("listWebhookDeliveries", webhook.id, query=query)
    return listed.deliveries[0] if listed.deliveries else None


def _range(request: PageRequest) -> dict[str, str]:
    length = RANGES.get(request.query.get("range", ""))
    return {} if length is None else {"from": (request.now - length).isoformat()}


def _shown(rows: list[DeliveryRow]) -> str:
    """The rows of the list, as the live stream reads them; `-` for none."""
    return " ".join(each.tag for each in rows) or "-"


def _begins(request: PageRequest, deliveries: Sequence[Any]) -> str:
    """From when on an attempt that is not shown is new."""
    if not deliveries:
        return (request.now - BEFORE_THE_PAGE).isoformat()
    began: datetime = deliveries[-1].attempted_at
    return began.isoformat()


def _waiting(stats: Any) -> str | None:
    seconds = stats.oldest_pending_seconds
    return None if seconds is None else times.span(timedelta(seconds=seconds))
