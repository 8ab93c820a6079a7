"""A daemon that stands still for longer than its timeout charges no endpoint for it."""

import asyncio
import signal
from pathlib import Path

from tests.faults.accounting import charged_endpoints, check_deliveries, row_counts
from tests.faults.environment import Environment, environment
from tests.faults.freezing import resume
from tests.faults.report import Report
from tests.support.certificates import Authority
from tests.support.daemons import Daemon, until
from tests.support.receiver import Reply

TIMEOUT = '[delivery]\ntimeout = "2s"\nretry_schedule = ["1h"]\n'
TENANTS, WEBHOOKS = 10, 5
LEAST_IN_FLIGHT = 50


async def stopped(database: str, folder: Path, *, tls: bool, seconds: float = 3.0) -> Report:
    """SIGSTOP with requests in flight whose responses come meanwhile; every one counts."""
    report = Report()
    authority = Authority()
    trusted = folder / "authority.pem"
    trusted.write_text(authority.pem)
    async with (
        environment(
            *(database, folder),
            tenants=TENANTS,
            webhooks=WEBHOOKS,
            answer_after=1.0,
            tls=authority.server("127.0.0.1") if tls else None,
        ) as env,
        env.daemon(settings=TIMEOUT, variables={"SSL_CERT_FILE": str(trusted)}) as daemon,
    ):
        await env.publish(2 * TENANTS, batch=2)
        await until(lambda: env.receiver.open_now >= LEAST_IN_FLIGHT)
        in_flight = await stand_still(env, daemon, seconds)
        await env.wait_for_deliveries(within=60)
        report.figure("requests in flight", in_flight)
        await check_deliveries(env, report, duplicates=in_flight)
    report.check_log(env.log)
    return report


async def silent(database: str, folder: Path, *, seconds: float = 3.0) -> Report:
    """SIGSTOP with requests in flight that get no response: sent again, and then judged."""
    report = Report()
    async with (
        environment(database, folder, tenants=TENANTS, webhooks=WEBHOOKS) as env,
        env.daemon(settings=TIMEOUT) as daemon,
    ):
        env.receiver.answer = lambda _: Reply(after=3600)
        await env.publish(TENANTS, batch=1)
        await until(lambda: env.receiver.open_now >= LEAST_IN_FLIGHT)
        in_flight = await stand_still(env, daemon, seconds)
        await until(lambda: postponed(daemon))
        counts = await row_counts(env)
        report.check("postponed attempts are not spent", counts.failed == 0, counts)
        report.check("no endpoint charged", await charged_endpoints(env) == 0)
        await env.wait_for_requests(in_flight)

        async def all_judged() -> bool:
            return (await row_counts(env)).failed == TENANTS * WEBHOOKS

        await until(all_judged)
        errors = await error_messages(env)
        report.check("then they time out", errors == {"no complete response within 2 s"}, errors)
    report.check_log(env.log)
    return report


async def stand_still(env: Environment, daemon: Daemon, seconds: float) -> int:
    """Stop the process for so long; return how many requests had no response yet."""
    daemon.process.send_signal(signal.SIGSTOP)
    in_flight = env.receiver.open_now
    await asyncio.sleep(seconds)  # the stall itself, not a wait for something
    resume(daemon)
    return in_flight


async def postponed(daemon: Daemon) -> bool:
    """Whether all attempts in flight were given back."""
    return await daemon.metric("webhookd_postponed_total") >= LEAST_IN_FLIGHT


async def error_messages(env: Environment) -> set[str]:
    """Return the errors of all failed attempts."""
    async with env.application() as app:
        rows = await app.db.fetch(
            "SELECT DISTINCT error_message FROM webhook_deliveries WHERE status = 'failed'"
        )
    return {row["error_message"] for row in rows}
