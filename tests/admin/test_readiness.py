"""`/readyz`: each check fails in the condition that it is meant to detect."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohappyeyeballs
import asyncpg
import pytest

from daemon.admin.server import readiness
from daemon.admin.server.readiness import Lag, Readiness
from daemon.maintenance import schema_watch
from daemon.maintenance.hold_watch import HoldWatch
from daemon.maintenance.schema_watch import SchemaWatch
from daemon.pipeline import fanout, lane_sync
from daemon.runtime import loop
from daemon.runtime.loop import Heartbeats
from daemon.runtime.metrics import Metrics
from daemon.service import Service
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.daemons import get_json, serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.receiver import Receiver, Reply

IN_STEP = Lag(fanout=0.0, dispatch=0.0, oldest_due=0.0)


class Probe:
    """Requests `/readyz` from a daemon."""

    def __init__(self, service: Service) -> None:
        self._url = f"http://127.0.0.1:{service.port}/readyz"

    async def status(self) -> int:
        return (await asyncio.to_thread(get_json, self._url))[0]

    async def checks(self) -> dict[str, dict[str, object]]:
        checks: dict[str, dict[str, object]] = (await asyncio.to_thread(get_json, self._url))[1][
            "checks"
        ]
        return checks

    async def is_ready(self) -> bool:
        return await self.status() == 200

    async def is_not_ready(self) -> bool:
        return await self.status() == 503

    async def fails(self, check: str) -> bool:
        return (await self.checks())[check]["ok"] is False


@pytest.fixture
async def probe(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Probe]:
    monkeypatch.setattr(schema_watch, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(readiness, "LOOP_FAILING_SECONDS", 0.3)
    monkeypatch.setattr(readiness, "DATABASE_SILENCE_SECONDS", 1.5)
    async with serving(database) as service:
        probe = Probe(service)
        await until(probe.is_ready)
        yield probe


async def test_a_daemon_that_works_passes_every_check(probe: Probe) -> None:
    single = {"database", "schema", "lag", "holds", "resources"}

    async def passes() -> bool:  # a busy machine keeps the daemon from its database for a moment
        checks = await probe.checks()
        return all(checks[name]["ok"] for name in single)

    await until(passes)
    checks = await probe.checks()

    assert {name for name in checks if name != "stopping"} == single | {"loops"}
    assert {"dispatcher", "fanout", "lane_sync", "listener"} <= set(checks["loops"])


async def test_no_loop_rests_for_as_long_as_readiness_waits_for_its_turn(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests, sleep = dict[asyncio.Event, float](), loop.sleep_until_woken

    async def noted(wake: asyncio.Event, seconds: float) -> None:
        rests[wake] = max(seconds, rests.get(wake, 0.0))
        await sleep(wake, seconds)

    monkeypatch.setattr(loop, "sleep_until_woken", noted)
    async with serving(database) as service:
        probe = Probe(service)
        await until(probe.is_ready)
        loops = len((await probe.checks())["loops"])
        await until(lambda: len(rests) >= loops)

    assert max(rests.values()) <= readiness.LOOP_SILENCE_SECONDS - 5


async def test_ports_that_are_used_up_are_named_with_the_remedy_and_the_daemon_is_ready(
    probe: Probe, app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start_connection(*_: object, **__: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    async def is_named() -> bool:
        return (await probe.checks())["resources"]["shortage"] is not None

    before = (await probe.checks())["resources"]
    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    tenant = await app.tenant()
    await app.webhook(tenant, "http://127.0.0.1:9/")
    await app.event(tenant)
    await until(is_named)
    check = (await probe.checks())["resources"]

    assert before == {"ok": True, "shortage": None, "remedy": None}
    assert "ports" in str(check["shortage"])
    assert "cannot assign requested address" in str(check["shortage"])
    assert "docs/errors.md" in str(check["remedy"])
    assert await probe.is_ready()


async def test_a_schema_that_another_version_migrated_fails_the_schema_check_until_it_fits_again(
    probe: Probe, app: Application
) -> None:
    await app.db.execute("INSERT INTO webhookd_migrations (name) VALUES ('9999_newer')")
    await until(lambda: probe.fails("schema"))

    assert await probe.is_not_ready()
    assert "9999_newer" in str((await probe.checks())["schema"]["error"])

    await app.db.execute("DELETE FROM webhookd_migrations WHERE name = '9999_newer'")
    await until(probe.is_ready)


async def test_triggers_that_are_disabled_fail_the_schema_check_until_they_are_enabled(
    probe: Probe, app: Application
) -> None:
    """Events that are committed meanwhile are noticed by no daemon."""
    await app.db.execute("ALTER TABLE webhook_events DISABLE TRIGGER webhook_events_arrived")
    await until(lambda: probe.fails("schema"))

    assert await probe.is_not_ready()
    assert "webhook_events_arrived on webhook_events" in str((await probe.checks())["schema"])

    await app.db.execute("ALTER TABLE webhook_events ENABLE ALWAYS TRIGGER webhook_events_arrived")
    await until(probe.is_ready)


async def test_sessions_that_fire_no_trigger_fail_the_schema_check_and_are_replaced(
    probe: Probe, app: Application, database: str
) -> None:
    name = database.rpartition("/")[2]
    await app.db.execute(f"ALTER DATABASE {name} SET session_replication_role = replica")
    await app.db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await until(lambda: probe.fails("schema"))

    assert "session_replication_role" in str((await probe.checks())["schema"])

    await app.db.execute(f"ALTER DATABASE {name} RESET session_replication_role")
    await until(probe.is_ready)


@pytest.mark.parametrize(
    ("table", "failing"),
    [("webhook_event_inbox", ["fanout", "inbox_search"]), ("webhook_replays", ["replayer"])],
)
async def test_a_loop_that_keeps_failing_fails_its_check_within_seconds(
    probe: Probe, app: Application, table: str, failing: list[str]
) -> None:
    await app.db.execute(f"ALTER TABLE {table} RENAME TO elsewhere")

    async def no_others_fail() -> bool:  # on a busy machine they may, but for a while only
        loops: Any = (await probe.checks())["loops"]
        return sorted(name for name, check in loops.items() if not check["ok"]) == failing

    await until(no_others_fail)
    assert await probe.is_not_ready()

    await app.db.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    await until(probe.is_ready)


async def test_a_database_that_refuses_connections_fails_the_database_check(
    probe: Probe, app: Application, postgres_url: str, database: str
) -> None:
    name = database.rpartition("/")[2]
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = $1 AND application_name LIKE 'webhookd%'",
            name,
        )
        await until(lambda: probe.fails("database"))
        assert await probe.status() == 503
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await admin.close()
    await until(probe.is_ready)


async def test_tenants_that_wait_long_for_their_turn_at_fanout_fail_the_lag_check(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "MAX_LAG_SECONDS", 0.1)
    monkeypatch.setattr(fanout, "LEAST_EVENTS", 1)
    monkeypatch.setattr(fanout, "MOST_EVENTS", 1)
    tenants = [await app.tenant() for _ in range(60)]
    for tenant in tenants:
        await app.webhook(tenant, "http://127.0.0.1:9/", types=["other"])
    async with serving(database) as service:
        probe = Probe(service)
        await app.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type)"
            " SELECT gen_random_uuid(), tenant, 'email.opened' FROM unnest($1::uuid[]) AS tenant,"
            " generate_series(1, 3)",
            tenants,
        )
        await until(probe.is_not_ready, every=0.0)

        await until(lambda: inbox_is_empty(app))
        await until(probe.is_ready)


async def test_a_slow_endpoints_backlog_is_reported_and_fails_nothing(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_sync, "INTERVAL_SECONDS", 0.05)
    webhook = await app.webhook(await app.tenant(), "http://127.0.0.1:9/")
    async with serving(database, delivery={"concurrency": 1}) as service:
        probe = Probe(service)
        await app.db.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, payload, next_retry_at,"
            " leased_until) SELECT $1, gen_random_uuid(), '{}', now() - interval '1 hour',"
            " CASE WHEN n = 1 THEN now() + interval '2 s' END FROM generate_series(1, 1) n",
            webhook,
        )
        await until(lambda: is_late(probe))

        await until(probe.is_ready)


async def is_late(probe: Probe) -> bool:
    lag = (await probe.checks())["lag"]
    return float(str(lag["oldestDueSeconds"])) > 3000


def watches(database: str) -> tuple[SchemaWatch, HoldWatch]:
    pool = Database(database, size=1)
    holds = HoldWatch(
        *(pool, Metrics()),
        on_hold=lambda _: None,
        on_release=lambda: None,
        wake=asyncio.Event(),
    )
    return SchemaWatch(pool), holds


async def test_a_quick_endpoint_that_waits_too_long_for_its_turn_fails_the_lag_check(
    database: str,
) -> None:
    schema, holds = watches(database)

    def ready(lag: Lag) -> bool:
        report = Readiness(
            Heartbeats(), schema, holds, lag=lambda: lag, shortage=lambda: None
        ).report()
        return bool(report.checks["lag"]["ok"])  # type: ignore[index]

    assert ready(IN_STEP)
    assert ready(Lag(fanout=29.0, dispatch=29.0, oldest_due=86_400.0))
    assert not ready(Lag(fanout=0.0, dispatch=31.0, oldest_due=31.0))
    assert not ready(Lag(fanout=31.0, dispatch=0.0, oldest_due=0.0))
    assert ready(Lag(fanout=0.0, dispatch=0.0, oldest_due=0.0, results=29.0))
    assert not ready(Lag(fanout=0.0, dispatch=0.0, oldest_due=0.0, results=31.0))


@pytest.mark.parametrize("tenants", [1, 2])
async def test_results_of_several_tenants_that_cannot_be_stored_fail_the_lag_check(
    *,
    app: Application,
    database: str,
    receiver: Receiver,
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
    tenants: int,
) -> None:
    monkeypatch.setattr(readiness, "MAX_LAG_SECONDS", 1.0)
    are_locked = asyncio.Event()
    receiver.answer = lambda _: Reply(when=are_locked)
    webhooks = []
    for number in range(tenants):
        tenant = await app.tenant()
        webhooks.append(await app.webhook(tenant, f"{receiver.url}/{number}"))
        await app.event(tenant)
    await until(lambda: len(receiver.received) == tenants)
    other = await asyncpg.connect(database)
    await other.execute("BEGIN")
    await other.execute("SELECT FROM webhooks FOR UPDATE")
    are_locked.set()

    async def fails_only_for_several() -> bool:
        lag = (await probe.checks())["lag"]
        return float(str(lag["oldestHeldSeconds"])) > 1.5 and lag["ok"] is (tenants == 1)

    await until(fails_only_for_several)
    await other.execute("ROLLBACK")
    for webhook in webhooks:
        await until(lambda w=webhook: settled(app, w, "success", 1))
    await until(probe.is_ready)
    await other.close()


async def test_the_watchdog_is_fed_while_loops_fail_and_not_once_one_hangs(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LOOP_SILENCE_SECONDS", 1.0)
    heartbeats = Heartbeats()
    watch = Readiness(heartbeats, *watches(database), lag=lambda: IN_STEP, shortage=lambda: None)
    heartbeats.succeeded("fanout")
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < began + 1.5:
        heartbeats.failed("fanout")
        assert watch.alive
        await asyncio.sleep(0.01)

    await until(lambda: not watch.alive)
