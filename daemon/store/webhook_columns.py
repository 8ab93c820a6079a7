"""
The columns of `webhooks` that the application may fill with anything, bounded where they are read.

The rule: no row of one customer makes a statement fail, or slow, that reads others' rows too. What
is too large is cut off, or replaced, just beyond the limit at which it is refused anyhow.

Sizes are compared as stored first, which reads nothing: compressed, a value takes as little as a
255th of its size in memory. Then in memory, and only what is small there is searched or printed.
"""

from daemon.core.matching.limits import LONGEST_TEXT, MOST_TYPES
from daemon.core.policy.headers import MOST_BYTES as MOST_SENT_BYTES
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.bounded_texts import LONGEST_DESCRIPTION, LONGEST_SENTENCE, bounded
from daemon.store.delivery_options import options

# A character takes up to four bytes as text. In memory, a member takes up to twelve where it is
# printed as two.
MOST_FILTER_BYTES = 4 * LONGEST_TEXT
MOST_FILTER_MEMORY = 6 * LONGEST_TEXT + 1024
# Sealed, a header takes a third more, and some bytes for the key and the nonce.
MOST_HEADER_BYTES = 4 * MOST_SENT_BYTES
MOST_HEADER_MEMORY = 2 * MOST_SENT_BYTES
TOO_LARGE_HEADERS = '"too large"'
MOST_PEM_CHARACTERS = 96 * 1024  # a sealed key of the longest that the API takes
MOST_TYPES_BYTES = 4 * LONGEST_TEXT + 8 * MOST_TYPES + 64


def description(row: str) -> str:
    """SQL: `description` of the row, without a name."""
    return bounded(f"{row}.description", LONGEST_DESCRIPTION)


def filter_error(row: str) -> str:
    """SQL: `filter_error` of the row."""
    return f"{bounded(f'{row}.filter_error', LONGEST_SENTENCE)} AS filter_error"


def paused_reason(row: str) -> str:
    """SQL: `paused_reason` of the row."""
    return f"{bounded(f'{row}.paused_reason', LONGEST_SENTENCE)} AS paused_reason"


def filters_text(row: str) -> str:
    """SQL: `event_filters` of the row as text, cut off above LONGEST_TEXT characters."""
    column = f"{row}.event_filters"
    return f"""
           CASE WHEN {_fits(column, MOST_FILTER_MEMORY, MOST_FILTER_BYTES)}
                THEN left({column}::text, {LONGEST_TEXT + 1})
                ELSE repeat(' ', {LONGEST_TEXT + 1}) END AS event_filters"""


def filters(row: str) -> str:
    """SQL: `event_filters` of the row, or a sentence in their place."""
    column = f"{row}.event_filters"
    return f"""
           CASE WHEN {_fits(column, MOST_FILTER_MEMORY, MOST_FILTER_BYTES)}
                THEN {column} ELSE '"too large to be shown"'::jsonb END AS event_filters"""


def event_types(row: str) -> str:
    """SQL: `event_types` of the row; other ones, too many or too long, if they are so."""
    column = f"{row}.event_types"
    return f"""
           CASE WHEN pg_catalog.pg_column_size({column}) > {MOST_TYPES_BYTES}
                     OR pg_catalog.cardinality({column}) > {MOST_TYPES}
                THEN pg_catalog.array_fill('too large'::text, ARRAY[{MOST_TYPES + 1}])
                -- Concatenated, it is measured in memory.
                WHEN pg_catalog.pg_column_size(
                         pg_catalog.array_cat({column}, ARRAY[]::text[])) > {MOST_TYPES_BYTES}
                THEN ARRAY[pg_catalog.rpad('too large'::text, {LONGEST_TEXT + 1})]
                ELSE {column} END AS event_types"""


def url_and_credentials(row: str) -> str:
    """SQL: the URL, the custom headers and the client certificate of the row."""
    headers = f"{row}.custom_headers"
    return f"""
           left({row}.endpoint_url, {LONGEST_URL + 1}) AS endpoint_url,
           CASE WHEN {_fits(headers, MOST_HEADER_MEMORY, MOST_HEADER_BYTES)}
                THEN {headers} ELSE '{TOO_LARGE_HEADERS}'::jsonb END AS custom_headers,
           left({row}.client_certificate, {MOST_PEM_CHARACTERS}) AS client_certificate,
           left({row}.client_key, {MOST_PEM_CHARACTERS}) AS client_key"""


def reading_bytes(row: str) -> str:
    """SQL: at most how many bytes `event_types` and `event_filters` of the row take in memory."""
    return " + ".join(
        f"""
                   coalesce(pg_catalog.pg_column_size({row}.{name})::bigint
                            * CASE WHEN pg_catalog.pg_column_compression({row}.{name}) IS NULL
                                   THEN 1 ELSE 255 END, 0)"""
        for name in ("event_types", "event_filters")
    )


def _fits(column: str, memory: int, printed: int) -> str:
    """SQL: whether a JSON column takes at most so many bytes in memory, and printed."""
    return f"""
                CASE WHEN {column} IS NULL THEN true
                     WHEN pg_catalog.pg_column_size({column}) > {memory} THEN false
                     WHEN pg_catalog.pg_column_size(
                              jsonb_path_query_first({column}, '$'::jsonpath)) > {memory} THEN false
                     ELSE webhook_payload_bytes({column}, {printed}::bigint) <= {printed} END"""


def unmarked(row: str) -> str:
    """SQL: whether a webhook has the scope of operators and no operator has made it so."""
    return f"""
           ({row}.scope::text = 'operator'
            AND NOT EXISTS (SELECT FROM webhook_operator_scopes AS mark
                             WHERE mark.webhook_id = {row}.id)) AS is_unmarked"""


ENTRY = f"""
           w.id, w.tenant_id, w.name, {description("w")} AS description,
           {url_and_credentials("w")},
           {event_types("w")},
           {filters("w")},
           w.notification_email, w.secret_key, w.previous_secret_key, w.sealed_with,
           w.previous_secret_expires_at, {filter_error("w")}, w.is_active, w.is_failing,
           w.consecutive_failures, {paused_reason("w")}, w.last_success_at, w.last_failure_at,
           w.created_at, w.updated_at, w.unconfirmed_email, w.next_probe_at, w.scope,
           w.failing_since, w.failed_probes, {unmarked("w")},
           {options("w")}"""
