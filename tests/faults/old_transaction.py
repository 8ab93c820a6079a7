"""Somebody forgets a transaction: dead rows pile up, and the deliveries stay as quick as before."""

from pathlib import Path

from tests.faults.report import Report
from tests.faults.stage import faults_logged, stage
from tests.support import daemons

SLOWEST = 3.0


async def held_open(database: str, folder: Path, *, deliveries: int, measured: int) -> Report:
    """The rate of the first `measured` deliveries beside that of the last, with it open."""
    report = Report()
    log = folder / "old-transaction.log"
    async with (
        stage(database, tenants=50, webhooks=2) as it,
        it.application() as forgetful,
        daemons.daemon(database, folder, port=daemons.free_port(), log=log),
    ):
        old = forgetful.db.transaction(isolation="repeatable_read")
        await old.start()
        await forgetful.db.fetchval("SELECT count(*), pg_current_xact_id() FROM webhook_deliveries")
        async with it.publishing(at_once=20, ahead=1000):
            await daemons.until(lambda: len(it.receiver.received) >= deliveries, within=600)
        await it.delivered()
        at = [request.at for request in it.receiver.received[:deliveries]]
        first, last = at[measured - 1] - at[0], at[-1] - at[-measured]
        report.note(
            f"no more than {SLOWEST:g} times slower at the end",
            last <= first * SLOWEST,
            f"first {measured}: {measured / first:.0f}/s, last: {measured / last:.0f}/s,"
            f" ratio {first / last:.2f}",
        )
        await old.rollback()
        await it.count(report)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report
