"""
Which server answers: what is remembered of numbers that PostgreSQL gives counts only there.

A standby that is promoted gives those numbers of transactions and sequences again that it had not
received; so does a server after a crash, which ends its sessions (`session.end_of`). The rule: each
statement that goes on from a remembered number says which server it ran on.
"""

from collections.abc import Mapping
from typing import Any

# And which table: one that was restored has another file.
SERVER = """pg_catalog.pg_postmaster_start_time() AS server_started_at,
           pg_catalog.pg_relation_filepath('webhooks'::regclass) AS webhooks_path"""


def server_of(row: Mapping[str, Any]) -> str:
    """Which server a statement with SERVER ran on."""
    return f"{row['server_started_at']} {row['webhooks_path']}"
