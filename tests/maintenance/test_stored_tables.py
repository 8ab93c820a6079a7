"""The operations guide lists every table, and an erased tenant leaves only what it says."""

import re
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID, uuid4

from tests.support.aged_rows import (
    stored_confirmation,
    stored_delivery,
    stored_event,
    stored_key,
    stored_notice,
    stored_records,
    stored_replay,
    stored_token,
)
from tests.support.application import Application
from tests.support.erasure import erased

GUIDE = Path(__file__).parents[2] / "docs" / "operations.md"
ROW = re.compile(r"^\| `(?P<table>\w+)` \|.*\| (?P<fate>[^|]+) \|$", re.MULTILINE)
ADDRESS = "sarah@example.com"

TABLES = """
    SELECT relname FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""


def listed() -> dict[str, str]:
    """What the guide says becomes of the rows of each table."""
    text = GUIDE.read_text()
    section = text[text.index("## What is stored") : text.index("## Load on your database")]
    return {found["table"]: found["fate"] for found in ROW.finditer(section)}


async def test_the_guide_lists_every_table(app: Application) -> None:
    assert listed().keys() == {row["relname"] for row in await app.db.fetch(TABLES)}


async def test_an_erased_tenant_leaves_only_what_the_guide_says(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://example.com")
    marks = {str(tenant), str(webhook), ADDRESS, str(await fill(app, tenant, webhook))}
    before = await tables_with(app, marks)

    await erased(database, tenant)

    fates = listed()
    assert before == {table for table, fate in fates.items() if fate != "nothing of a tenant"}
    assert await tables_with(app, marks) == {
        table for table, fate in fates.items() if fate in {"expires", "kept"}
    }


async def tables_with(app: Application, marks: Iterable[str]) -> set[str]:
    """The tables of which a row has one of these texts in any column."""
    pattern = "|".join(map(re.escape, marks))
    return {
        table
        for table in listed()
        if await app.db.fetchval(
            f"SELECT EXISTS (SELECT FROM {table} AS row WHERE row::text ~ $1)", pattern
        )
    }


async def fill(app: Application, tenant: UUID, webhook: UUID) -> UUID:
    """Store something of the tenant in every table; returns the id of its replay."""
    await stored_event(app, tenant, waiting=True)
    await stored_delivery(app, webhook)
    await stored_notice(app, webhook)
    await stored_confirmation(app, tenant, ADDRESS)
    await stored_records(app, tenant)
    await stored_token(app, tenant)
    await stored_key(app, tenant)
    replay = await stored_replay(app, webhook, status="completed")
    await app.db.execute("UPDATE webhooks SET event_types = '{a}' WHERE id = $1", webhook)
    rows: dict[str, tuple[object, ...]] = {
        "webhook_replay_results (replay_id, delivered, failed, erased) VALUES ($1, 1, 0, 0)": (
            replay,
        ),
        "webhook_operator_scopes (webhook_id) VALUES ($1)": (webhook,),
        "webhook_holds (tenant_id, held_by) VALUES ($1, 'ops')": (tenant,),
        "webhook_portal_links (id, tenant_id, scope, code_hash, created_by, expires_at)"
        " VALUES (gen_random_uuid(), $1, 'read', '', 'ops', 'infinity')": (tenant,),
        "webhook_mail_recipients (address, next_mail_at) VALUES ($1, now())": (ADDRESS,),
        "webhook_operational_events (tenant_id, webhook_id, type, data)"
        " VALUES ($1, $2, 'webhook.failing', '{}')": (tenant, webhook),
        "webhook_stats (webhook_id, minutes, begins_at, cells, counts)"
        " VALUES ($1, 1, now(), '{0}', '{1}')": (webhook,),
        "webhook_stats_batches (minute, webhook_ids, ended, counts)"
        " VALUES (now(), ARRAY[$1::uuid], '{0}', '{1}')": (webhook,),
        "webhook_pacing (webhook_id, in_flight) VALUES ($1, ARRAY[$2::uuid])": (webhook, uuid4()),
        "webhook_unbound_secrets (webhook_id, endpoint_url) VALUES ($1, 'https://example.com')": (
            webhook,
        ),
    }
    for insert, values in rows.items():
        await app.db.execute(f"INSERT INTO {insert}", *values)
    return replay
