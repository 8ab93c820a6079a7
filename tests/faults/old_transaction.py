"""A transaction is left open: dead rows pile up, and deliveries stay fast."""

from pathlib import Path

from tests.faults.accounting import check_deliveries
from tests.faults.environment import environment
from tests.faults.report import Report
from tests.support.daemons import until

MAX_SLOWDOWN = 3.0


async def held_open(database: str, folder: Path, *, deliveries: int, measured: int) -> Report:
    """Compare the rates of the first and the last `measured` deliveries beside it."""
    report = Report()
    async with (
        environment(database, folder, tenants=50, webhooks=2) as env,
        env.application() as forgetful,
        env.daemon(),
    ):
        old = forgetful.db.transaction(isolation="repeatable_read")
        await old.start()
        await forgetful.db.fetchval("SELECT count(*), pg_current_xact_id() FROM webhook_deliveries")
        async with env.publishing(batch=20, ahead=1000):
            await until(lambda: len(env.receiver.received) >= deliveries, within=600)
        await env.wait_for_deliveries()
        at = [request.at for request in env.receiver.received[:deliveries]]
        first, last = at[measured - 1] - at[0], at[-1] - at[-measured]
        report.check(
            f"no more than {MAX_SLOWDOWN:g} times slower at the end",
            last <= first * MAX_SLOWDOWN,
            f"first {measured}: {measured / first:.0f}/s, last: {measured / last:.0f}/s,"
            f" ratio {first / last:.2f}",
        )
        await old.rollback()
        await check_deliveries(env, report)
    report.check_log(env.log)
    return report
