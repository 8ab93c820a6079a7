"""
The columns of `webhooks` that the application may fill with anything, bounded where they are read.

The rule: no row of one customer makes a statement fail, or slow, that reads others' rows too. What
is too large is cut off, or replaced, just beyond the limit at which it is refused anyhow.
"""

from daemon.core.matching.limits import LONGEST_TEXT, MOST_TYPES
from daemon.core.policy.urls import LONGEST_URL

# A character takes up to four bytes.
MOST_FILTER_BYTES = 4 * LONGEST_TEXT
MOST_HEADER_BYTES = 256 * 1024
MOST_PEM_CHARACTERS = 256 * 1024
MOST_TYPES_BYTES = 1024 * 1024


def filters_text(row: str) -> str:
    """SQL: `event_filters` of the row as text, cut off above LONGEST_TEXT characters."""
    column = f"{row}.event_filters"
    return f"""
           CASE WHEN webhook_payload_bytes({column}, {MOST_FILTER_BYTES}::bigint)
                     <= {MOST_FILTER_BYTES}
                THEN left({column}::text, {LONGEST_TEXT + 1})
                ELSE repeat(' ', {LONGEST_TEXT + 1}) END AS event_filters"""


def filters(row: str) -> str:
    """SQL: `event_filters` of the row, or a sentence in their place."""
    column = f"{row}.event_filters"
    return f"""
           CASE WHEN webhook_payload_bytes({column}, {MOST_FILTER_BYTES}::bigint)
                     <= {MOST_FILTER_BYTES}
                THEN {column} ELSE '"too large to be shown"'::jsonb END AS event_filters"""


def event_types(row: str) -> str:
    """SQL: `event_types` of the row; too many of another kind if they take over a megabyte."""
    column = f"{row}.event_types"
    return f"""
           CASE WHEN pg_catalog.pg_column_size({column}) > {MOST_TYPES_BYTES}
                THEN pg_catalog.array_fill('too large'::text, ARRAY[{MOST_TYPES + 1}])
                ELSE {column} END AS event_types"""


def url_and_credentials(row: str) -> str:
    """SQL: the URL, the custom headers and the client certificate of the row."""
    headers = f"{row}.custom_headers"
    return f"""
           left({row}.endpoint_url, {LONGEST_URL + 1}) AS endpoint_url,
           CASE WHEN webhook_payload_bytes({headers}, {MOST_HEADER_BYTES}::bigint)
                     <= {MOST_HEADER_BYTES}
                THEN {headers} ELSE '"too large"'::jsonb END AS custom_headers,
           left({row}.client_certificate, {MOST_PEM_CHARACTERS}) AS client_certificate,
           left({row}.client_key, {MOST_PEM_CHARACTERS}) AS client_key"""


ENTRY = f"""
           w.id, w.tenant_id, w.name, left(w.description, 65536) AS description,
           {url_and_credentials("w")},
           {event_types("w")},
           {filters("w")},
           w.notification_email, w.secret_key, w.previous_secret_key, w.sealed_with,
           w.previous_secret_expires_at, w.filter_error, w.is_active, w.is_failing,
           w.consecutive_failures, w.paused_reason, w.last_success_at, w.last_failure_at,
           w.created_at, w.updated_at, w.unconfirmed_email, w.next_probe_at"""
