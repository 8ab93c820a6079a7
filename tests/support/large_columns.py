"""Columns of the application's tables that hold values of any size, and statements to fill them."""

from collections.abc import Mapping
from typing import Any

TABLES = ("webhooks", "webhook_deliveries", "webhook_events", "tenants")
LENGTH = 1_500_000
# A control character: escaped, it is six times as long. The values are compressed as they are
# stored, which hides how large they are.
LARGE = rf"pg_catalog.repeat(pg_catalog.chr(27) || '<&', {LENGTH // 3})"
# More than the largest event that is read to be matched.
LARGE_MEMBER = "pg_catalog.repeat('x', 9000000)"
VALUES = {
    "text": LARGE,
    "text[]": f"ARRAY[{LARGE}]",
    "uuid[]": f"pg_catalog.array_fill(pg_catalog.gen_random_uuid(), ARRAY[{LENGTH // 16}])",
    "jsonb": f"pg_catalog.jsonb_build_object('filters', {LARGE_MEMBER})",
    "json": f"pg_catalog.json_build_object('head', {LARGE_MEMBER})",
    # Its noted size is removed, as it is from a row that the application inserts.
    "bigint": "NULL",
}
UNBOUNDED = """
    SELECT c.relname AS table, a.attname AS column,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS type
      FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
     WHERE a.attrelid = ANY ($1::text[]::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped
       AND (a.attlen = -1 OR a.attname = 'payload_bytes')
       AND pg_catalog.format_type(a.atttypid, a.atttypmod) NOT LIKE '%(%)'
     ORDER BY 1, 2
"""


async def large_columns(db: Any) -> dict[str, dict[str, str]]:
    """By table: each column without a largest size, and SQL for a very large value of it."""
    found: dict[str, dict[str, str]] = {table: {} for table in TABLES}
    for row in await db.fetch(UNBOUNDED, list(TABLES)):
        found[row["table"]][row["column"]] = VALUES[row["type"]]
    return found


def filling(table: str, values: Mapping[str, str]) -> str:
    """The statement that puts these values into every row of a table."""
    columns = ", ".join(f"{column} = {value}" for column, value in values.items())
    return f"UPDATE {table} SET {columns}"
