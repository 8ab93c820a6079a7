"""The installation: how the daemon, its database and all deliveries together are doing."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.server.readiness import Readiness
from daemon.admin.views.system import system_response
from daemon.core.outcomes.stats_range import stats_range
from daemon.store import history_partitions, stats_totals, system_state
from daemon.store.database import Database

SHOWN = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class System:
    """The operation on the installation, for operators."""

    database: Database
    readiness: Readiness
    sends_mail: bool

    @operation(
        "GET /api/system",
        operation_id="retrieveSystem",
        tag="System",
        summary="Retrieve how the installation is doing",
        description=(
            "What the daemon that answers knows of itself, and what all daemons share: throughput,"
            " failing hosts, mail queue and database. Only operators can retrieve it; X-Tenant-ID"
            " is ignored."
        ),
        responses={200: ("The installation.", schemas.System)},
        operator_only=True,
    )
    async def retrieve(self, _: ApiRequest) -> ApiResponse:
        """The installation."""
        now = datetime.now(UTC)
        covered = stats_range(now - SHOWN, now, now=now)
        async with self.database.connection() as db:
            counted = await stats_totals.count(db, covered)
            recent_range = stats_totals.last_minutes(covered.until)
            recent = await stats_totals.count(db, recent_range)
            database = await system_state.database_state(db)
            mails = await system_state.mail_queue(db)
            hosts = await system_state.failing_hosts(db)
            missing = await history_partitions.missing_days(db)
        return ApiResponse(
            200,
            system_response(
                self.readiness,
                hours=(counted, covered),
                recent=(recent, recent_range),
                database=database,
                missing_partitions=missing,
                mail=schemas.MailQueue(configured=self.sends_mail, **asdict(mails)),
                hosts=hosts,
            ),
        )
