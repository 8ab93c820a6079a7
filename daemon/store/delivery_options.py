"""The columns of `webhooks` that say how its deliveries are made."""

from collections.abc import Sequence

from daemon.core.model.delivery_options import DEFAULT_OPTIONS, DeliveryOptions
from daemon.core.model.ids import WebhookId
from daemon.core.policy.delivery_options import LONGEST_SCHEDULE_NAME, LONGEST_TIMEOUT_MS
from daemon.core.scheduling.leases import LEASE_BEYOND_TIMEOUT
from daemon.store.session import Connection

COLUMNS = (
    *("timeout_ms", "max_per_second", "max_in_flight"),
    *("retry_schedule", "client_errors_final"),
)


def options(row: str) -> str:
    """
    SQL: the options of the row as one array of texts, NULL if it has none; most rows have none.

    A name that is too long to be one is cut off.
    """
    columns = [f"{row}.{name}" for name in COLUMNS]
    given = " OR ".join(f"{column} IS NOT NULL" for column in columns)
    return f"""
           CASE WHEN {given}
                THEN ARRAY[{row}.timeout_ms::text, {row}.max_per_second::text,
                           {row}.max_in_flight::text,
                           left({row}.retry_schedule, {LONGEST_SCHEDULE_NAME + 1}),
                           {row}.client_errors_final::text] END AS options"""


def row_lease(row: str, usual: str) -> str:
    """SQL: how long an attempt of the row is leased: for its timeout, and for `usual` at least."""
    seconds = LEASE_BEYOND_TIMEOUT.total_seconds()
    return f"""
           -- GREATEST passes over what is NULL.
           greatest({usual}::interval,
                    CASE WHEN {row}.timeout_ms IS NOT NULL
                         THEN least({row}.timeout_ms, {LONGEST_TIMEOUT_MS})::float8
                              * interval '1 millisecond' + interval '{seconds} seconds' END)"""


def delivery_options(given: Sequence[str | None] | None) -> DeliveryOptions:
    """Return the options that a row has in the column `options`."""
    if given is None:
        return DEFAULT_OPTIONS
    timeout_ms, max_per_second, max_in_flight, retry_schedule, client_errors_final = given
    return DeliveryOptions(
        None if timeout_ms is None else int(timeout_ms),
        None if max_per_second is None else float(max_per_second),
        None if max_in_flight is None else int(max_in_flight),
        retry_schedule,
        None if client_errors_final is None else client_errors_final == "true",
    )


SET_OPTIONS = """
    UPDATE webhooks
       SET timeout_ms = $2, max_per_second = $3, max_in_flight = $4, retry_schedule = $5,
           client_errors_final = $6
     WHERE id = $1
"""


async def set_options(db: Connection, webhook_id: WebhookId, given: DeliveryOptions) -> None:
    """Write the options of a webhook that the caller has locked, or just inserted."""
    await db.execute(
        SET_OPTIONS,
        *(webhook_id, given.timeout_ms, given.max_per_second, given.max_in_flight),
        *(given.retry_schedule, given.client_errors_final),
    )
