"""Rows that the application wrote wrongly are reported by `webhookd check` and on the log."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from structlog.testing import capture_logs

from daemon.core.model.application_rows import Slip
from daemon.maintenance import application_rows as loop_module
from daemon.maintenance.application_rows import ApplicationRows
from daemon.runtime.metrics import Metrics
from daemon.store import application_rows
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.commandline import webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery
from tests.support.receiver import Receiver


async def write_wrongly(app: Application, tenant: UUID) -> dict[Slip, UUID]:
    """One row of each kind, beside good ones of the same tables."""
    webhook = await app.webhook(tenant, "https://receiver.example.com/")
    for status in ("success", "failed", "pending_retry"):
        await insert_delivery(app, webhook, status=status)
    await app.event(tenant)
    rows = {Slip.UNKNOWN_STATUS: await insert_delivery(app, webhook, status="done")}
    rows[Slip.PENDING_WITHOUT_TIME] = await insert_delivery(app, webhook, status="pending_retry")
    async with app.db.transaction():
        await app.db.execute("SET LOCAL session_replication_role = 'replica'")
        await app.db.execute(
            "UPDATE webhook_deliveries SET next_retry_at = NULL WHERE id = $1",
            rows[Slip.PENDING_WITHOUT_TIME],
        )
    for slip, column in (
        (Slip.EVENT_WITHOUT_TIME, "created_at"),
        (Slip.EVENT_WITHOUT_TYPE, "event_type"),
    ):
        rows[slip] = await app.event(tenant)
        await app.db.execute(f"UPDATE webhook_events SET {column} = NULL WHERE id = $1", rows[slip])
    return rows


def reported(logs: list[Any]) -> list[tuple[str, str]]:
    return [(each["id"], each["reason"]) for each in logs if each["event"] == "row.written_wrongly"]


async def test_check_names_each_row_and_an_installation_without_any_has_no_warning(
    app: Application, database: str, tmp_path: Path
) -> None:
    tenant = await app.tenant()

    async def warnings() -> tuple[int, list[str]]:
        ended = await webhookd("check", "--json", folder=tmp_path, env={"DATABASE_URL": database})
        checks = json.loads(ended.out)["checks"]
        return ended.code, [each["message"] for each in checks if each["check"] == "rows"]

    before = await warnings()
    rows = await write_wrongly(app, tenant)
    code, messages = await warnings()

    assert before == (0, [])
    assert code == 0
    for message, (slip, row) in zip(messages, rows.items(), strict=True):
        assert str(row) in message
        assert message.endswith(slip.value)
    assert "('done')" in messages[0]


async def test_the_loop_logs_each_row_once_and_few_in_a_round(
    app: Application, pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "MOST_REPORTED", 5)
    webhook = await app.webhook(await app.tenant(), "https://receiver.example.com/")
    rows = await write_wrongly(app, await app.tenant())
    for _ in range(4):
        await insert_delivery(app, webhook, status=None)
    loop = ApplicationRows(pool, Metrics(), rest_seconds=0)
    rounds = []
    for _ in range(3):
        with capture_logs() as logs:
            await loop.run_once()
        rounds.append(reported(logs))

    found = dict(rounds[0] + rounds[1])
    assert [len(each) for each in rounds] == [5, 2, 0]
    for slip in (Slip.UNKNOWN_STATUS, Slip.EVENT_WITHOUT_TIME, Slip.EVENT_WITHOUT_TYPE):
        assert found[str(rows[slip])] == slip.value


async def test_every_tenant_has_its_turn(
    app: Application, pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "TENANTS_AT_ONCE", 2)
    rows = set()
    for _ in range(5):
        tenant = await app.tenant()
        for _ in range(3):
            await app.webhook(tenant, "https://receiver.example.com/")
        row = await app.event(tenant)
        await app.db.execute("UPDATE webhook_events SET created_at = NULL WHERE id = $1", row)
        rows.add(str(row))
    loop = ApplicationRows(pool, Metrics(), rest_seconds=0)

    with capture_logs() as logs:
        for _ in range(3):
            await loop.run_once()

    assert {row for row, _ in reported(logs)} == rows


async def test_only_the_partition_of_other_statuses_is_read(app: Application) -> None:
    """However many deliveries there are; each other layout reads what it can in bounded time."""
    query = application_rows.UNKNOWN_STATUSES
    plan = "\n".join(row[0] for row in await app.db.fetch(f"EXPLAIN {query}"))

    assert "webhook_deliveries_other" in plan
    assert "pending" not in plan.replace("pending_retry", "")
    assert "undated" not in plan


async def test_a_statement_that_takes_too_long_ends_and_the_loop_goes_on(
    app: Application, pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application_rows, "LIMIT_TIME", "SET LOCAL statement_timeout = '500ms'")
    monkeypatch.setattr(
        application_rows,
        "UNKNOWN_STATUSES",
        "SELECT NULL::uuid AS id, '' AS status FROM pg_sleep(9)",
    )
    # An earlier test of this process may have configured logs without debug lines.
    every_line = structlog.make_filtering_bound_logger(0)
    monkeypatch.setattr(loop_module, "log", structlog.wrap_logger(None, wrapper_class=every_line))
    loop = ApplicationRows(pool, Metrics(), rest_seconds=0)

    with capture_logs() as logs:
        assert await loop.run_once() == 0
    assert [each["event"] for each in logs] == ["application_rows.search_timed_out"]


async def test_an_event_without_a_time_has_the_same_body_for_every_webhook_and_daemon(
    app: Application, database: str, receiver: Receiver
) -> None:
    """Its time is that of its arrival, not of the moment at which some daemon took it."""
    tenant = await app.tenant()
    for n in range(3):
        await app.webhook(tenant, f"{receiver.url}/{n}")
    event = uuid4()
    await app.db.execute(
        "INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)"
        " VALUES ($1, $2, 'email.opened', '{}', NULL)",
        *(event, tenant),
    )
    arrived = await app.db.fetchval("SELECT arrived_at FROM webhook_event_inbox")
    async with serving(database):
        await until(lambda: len(receiver.received) == 3)

    assert len({each.body for each in receiver.received}) == 1
    assert (
        receiver.received[0].event["created_at"]
        == f"{arrived:%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
    )
