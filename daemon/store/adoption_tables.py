"""
The specification's tables, and what migrations make of them.

The rule: a column is taken over if it has the specification's type; times may have either type.
"""

from dataclasses import dataclass

from daemon.store.prebuilt_indexes import INDEXES
from daemon.store.privileges import NEEDED

TENANTS, WEBHOOKS = "tenants", "webhooks"
EVENTS, DELIVERIES = "webhook_events", "webhook_deliveries"
TABLES = (WEBHOOKS, EVENTS, DELIVERIES)

SPECIFIED_STATUS_INDEX = "idx_webhook_deliveries_status"
REPLACED_INDEXES = frozenset({*(each.name for each in INDEXES), SPECIFIED_STATUS_INDEX})


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of the specification: its type, and what the first migration says of it.

    `fill` is what a row without a value gets, where there must be one; without `fill`, such a row
    keeps the table from being taken over.
    """

    type: str
    default: str | None = None
    not_null: bool = False
    fill: str | None = None


_ID = Column("uuid", not_null=True)
_TEXT = Column("text")
_JSON = Column("jsonb")
_TIME = Column("timestamp with time zone")
TIME = _TIME.type
_NOW = Column(TIME, default="now()")

COLUMNS = {
    WEBHOOKS: {
        "id": Column("uuid", default="gen_random_uuid()", not_null=True),
        "tenant_id": _ID,
        "name": Column("character varying(255)", not_null=True),
        "description": _TEXT,
        "endpoint_url": Column("text", not_null=True),
        "secret_key": Column("character varying(255)", not_null=True),
        "event_types": Column("text[]"),
        "event_filters": _JSON,
        # The application looked for `is_active = true`, which no row without a value is.
        "is_active": Column("boolean", default="true", not_null=True, fill="false"),
        "is_failing": Column("boolean", default="false", not_null=True, fill="false"),
        "consecutive_failures": Column("integer", default="0", not_null=True, fill="0"),
        "last_success_at": _TIME,
        "last_failure_at": _TIME,
        "created_at": _NOW,
        "updated_at": _NOW,
    },
    EVENTS: {
        "id": _ID,
        "tenant_id": _ID,
        "event_type": Column("character varying(100)"),
        "event_data": _JSON,
        "created_at": _NOW,
    },
    DELIVERIES: {
        "id": Column("uuid", default="gen_random_uuid()", not_null=True),
        "webhook_id": _ID,
        "event_id": _ID,
        "event_type": Column("character varying(100)"),
        "payload": _JSON,
        "signature": Column("character varying(255)"),
        "status_code": Column("integer"),
        "response_body": _TEXT,
        "response_headers": _JSON,
        "duration_ms": Column("integer"),
        "attempted_at": _NOW,
        "attempt_number": Column("integer", default="1", not_null=True, fill="1"),
        "next_retry_at": _NOW,
        "status": Column("character varying(50)", default="'pending_retry'::character varying"),
        "error_message": _TEXT,
    },
}

# The first migration's additions to the specification's columns.
FIRST_ADDED = {
    WEBHOOKS: {
        "previous_secret_key": "VARCHAR(255)",
        "previous_secret_expires_at": "TIMESTAMPTZ",
        "filter_error": "TEXT",
        "paused_reason": "TEXT",
    },
    EVENTS: {},
    DELIVERIES: {"event_created_at": "TIMESTAMPTZ", "leased_until": "TIMESTAMPTZ"},
}

# The additions of later migrations. An application's own column of that name would be taken for it.
LATER_ADDED = {
    WEBHOOKS: frozenset(
        {
            *("client_certificate", "client_errors_final", "client_key", "custom_headers"),
            *("failed_probes", "failing_since", "max_in_flight", "max_per_second"),
            *("next_probe_at", "notification_email", "paused_at", "requested_attempts"),
            *("retry_schedule", "scope", "sealed_with", "timeout_ms", "unconfirmed_email"),
        }
    ),
    EVENTS: frozenset({"received_at", "data_changed_at"}),
    DELIVERIES: frozenset(
        {
            *("brought_forward", "chain_replays", "chain_start", "legacy", "payload_bytes"),
            *("replay_id", "too_large", "trace"),
        }
    ),
}

# The columns that `daemon/store/adoption.py` itself adds beforehand, for the index on one of them.
ADDED_BEFOREHAND = {DELIVERIES: {"replay_id": "UUID"}}

STORAGE = {
    WEBHOOKS: {"fillfactor": "70"},
    EVENTS: {},
    DELIVERIES: {
        "fillfactor": "85",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_analyze_scale_factor": "0.05",
    },
}

# (column, table that it refers to, what follows a deletion there)
FOREIGN_KEYS = {
    WEBHOOKS: ("tenant_id", TENANTS, ""),
    DELIVERIES: ("webhook_id", WEBHOOKS, " ON DELETE CASCADE"),
}


def foreign_key_name(table: str) -> str | None:
    """The name of the foreign key that this table gets."""
    return f"{table}_{FOREIGN_KEYS[table][0]}_fkey" if table in FOREIGN_KEYS else None


# In place of the indexes on times, which are dropped when their columns change and built again.
TEMPORARY_INDEXES = {
    WEBHOOKS: {},
    EVENTS: {"webhookd_stand_in_events": "(tenant_id, event_type)"},
    DELIVERIES: {
        "webhookd_stand_in_deliveries": "(webhook_id)",
        "webhookd_stand_in_pending": "(webhook_id) WHERE status = 'pending_retry'",
    },
}

OUR_OTHER_TABLES = tuple(
    each for each in NEEDED if each not in TABLES and each != "webhookd_migrations"
)
