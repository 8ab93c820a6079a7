"""Stats of one webhook, and summaries of many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import require_found
from daemon.admin.views.stats import stats_response, summary_response
from daemon.core.model.ids import WebhookId
from daemon.core.outcomes.stats_range import last_day, stats_range
from daemon.runtime.time_slice import TimeSlice
from daemon.store import stats, webhooks
from daemon.store.database import Database
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class WebhookStats:
    """Operations on the stats of webhooks."""

    database: Database

    @operation(
        "GET /api/webhooks/{id}/stats",
        operation_id="retrieveWebhookStats",
        tag="Webhooks",
        summary="Retrieve the stats of a webhook",
        description=(
            "Counts of the attempts that began in a range of time, by default the last 24 hours."
            " An attempt is counted together with its result, by the minute; what is older than two"
            " days, and ranges of more than 25 hours, are counted by the hour."
        ),
        query=schemas.StatsQuery,
        responses={200: ("The stats.", schemas.WebhookStats)},
    )
    async def retrieve(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook."""
        query: schemas.StatsQuery = request.query
        webhook_id = WebhookId(request.id)
        async with self.database.connection() as db:
            require_found(await webhooks.get(db, request.tenant_id, webhook_id), "webhook")
            now, oldest_seconds = await stats.oldest_pending(db, webhook_id)
            covered = stats_range(query.from_, query.to, now=now)
            counted = await stats.count(db, webhook_id, covered)
        return ApiResponse(
            200, stats_response(counted, covered, oldest_pending_seconds=oldest_seconds)
        )


async def summaries(
    db: Connection, webhook_ids: Sequence[WebhookId], *, hourly: bool
) -> Mapping[WebhookId, schemas.StatsSummary]:
    """Summarize the last day of each of these webhooks, which are a page of a list."""
    covered = last_day(datetime.now(UTC), hourly=hourly)
    counts = await stats.count_each(db, webhook_ids, covered)
    summarized, time_slice = {}, TimeSlice(patient=True)
    for each in webhook_ids:
        summarized[each] = summary_response(counts.get(each, {}), covered, hourly=hourly)
        await time_slice.yield_if_used()
    return summarized
