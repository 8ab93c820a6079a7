"""The system: what needs attention, throughput, failing hosts, the daemon's loops, the database."""

from aiohttp import web

from daemon.admin.console.page import PageRequest, page

# The purpose of each loop, for people; one that is not here is shown by its name alone.
LOOPS = {
    "application_rows": "looks for rows of the application that cannot be used",
    "dispatcher": "sends what is due",
    "hold_watch": "looks what is held",
    "installation_guard": "looks to whom the database belongs",
    "fanout": "finds the webhooks of new events",
    "first_attempts": "begins first attempts",
    "history_partitions": "makes and drops partitions",
    "lane_sync": "finds endpoints with something due",
    "listener": "listens for new events",
    "notifier": "mails notices",
    "slow_notifier": "mails to recipients that take long",
    "open_leases": "keeps what is being sent from other daemons",
    "operational_events": "sends operational events",
    "replayer": "runs replays",
    "resealing": "seals secrets with the current key",
    "result_writer": "stores results",
    "retention": "deletes what has expired",
    "schema_watch": "watches the database's schema",
    "stats_folding": "adds up the stats",
    "undelivered_counts": "counts undelivered events",
}


class SystemPages:
    """The page."""

    @page("GET /system", operators=True)
    async def show(self, request: PageRequest) -> web.StreamResponse:
        """The installation, what needs attention first."""
        found = await request.api("retrieveSystem")
        series = found.throughput.series
        return await request.page(
            "system.html",
            system=found,
            bars=series,
            delivered=sum(each.delivered for each in series),
            failed=sum(each.failed for each in series),
            loops=sorted(found.loops, key=lambda each: (each.ok, each.name)),
            loop_texts=LOOPS,
        )
