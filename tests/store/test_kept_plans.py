"""Plans that were made while tables were empty, and kept, find rows by their keys."""

import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import orjson
import pytest

from daemon.store import (
    claim_leases,
    claims,
    deliveries,
    endpoints,
    event_inbox,
    lanes,
    leased_events,
    payload_size,
    plain_results,
    replays,
    results,
    retries,
    subscription_changes,
)
from daemon.store.session import PLANNING
from tests.support.application import Application

STATEMENTS = (
    *(claims.LEASE_DUE, claim_leases.NOTE_SIZE, claim_leases.CLEAR_LEASES),
    *(claim_leases.RELEASE_PROBES, claim_leases.PROLONG_LEASES, claim_leases.FIND_LEASED),
    *(results.STORE_RESULTS, results.FIND_STORED),
    *(plain_results.STORE_PLAIN, deliveries.INSERT_ALL, deliveries.INSERT_SOME),
    *(event_inbox.SCAN, leased_events.LEASE_TURNS, subscription_changes.FIND_CHANGES),
    *(payload_size.MEASURE_DELIVERY, payload_size.PENDING_DATA, endpoints.FIND_READY),
    *(lanes.FIND_DUE_LANES, lanes.FIND_DUE_LANES_OF, lanes.FIND_WEBHOOKS),
    *(retries.BRING_FORWARD, replays.DELETE_UNATTEMPTED),
)
LARGE_TABLES = (
    *("webhook_deliveries", "webhook_events", "webhooks"),
    "webhook_subscription_changes",
)
# What they read is bounded otherwise: by a number of rows, or by the partition.
CONDITIONS = ("Index Cond", "TID Cond", "Recheck Cond")


async def kept_plan(db: asyncpg.Connection, statement: str) -> Any:
    """The plan that PostgreSQL keeps for any parameters."""
    count = max(int(number) for number in re.findall(r"\$(\d+)", statement))
    await db.execute(f"PREPARE kept AS {statement}")
    try:
        nulls = ", ".join(["NULL"] * count)
        explained = await db.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE kept({nulls})")
    finally:
        await db.execute("DEALLOCATE kept")
    return orjson.loads(explained)[0]["Plan"]


def read_without_keys(node: dict[str, Any]) -> Iterator[str]:
    """The large tables that a plan reads from the beginning of an index, or without one."""
    table = node.get("Relation Name", "")
    has_keys = any("id" in node.get(each, "") for each in CONDITIONS)
    if "Scan" in node["Node Type"] and table.startswith(LARGE_TABLES) and not has_keys:
        yield f"{node['Node Type']} of {table} as {node['Alias']}"
    for each in node.get("Plans", ()):
        yield from read_without_keys(each)


@pytest.mark.parametrize("prepare", ["SELECT 1", "ANALYZE"], ids=["never analyzed", "analyzed"])
async def test_kept_plans_read_no_table_as_a_whole(app: Application, prepare: str) -> None:
    await app.db.execute(f"{PLANNING}; SET plan_cache_mode = force_generic_plan; {prepare}")

    found = {
        each.strip()[:60]: tables
        for each in STATEMENTS
        if (tables := list(read_without_keys(await kept_plan(app.db, each))))
    }

    assert not found
