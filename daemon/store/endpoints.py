"""Endpoints that may be called at once, with what a request to them needs."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from daemon.core.model.delivery_options import AttemptOptions
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.value import value
from daemon.core.policy.delivery_options import attempt_options
from daemon.store.delivery_options import delivery_options, options, row_lease
from daemon.store.holds import may_be_sent
from daemon.store.measuring import counting, pages_since
from daemon.store.secrets import stored_secrets
from daemon.store.session import Connection
from daemon.store.webhook_columns import url_and_credentials
from daemon.store.webhook_rows import webhook

# Of a chain and its key. Those of some hundred webhooks are read at once; larger ones with the
# claims.
MOST_CERTIFICATE_BYTES = 16 * 1024
# Read together with events of their tenant: most tenants have no more.
MOST_OF_TENANT = 4


def _columns(row: str) -> str:
    """SQL: what a request needs, of a row of `webhooks`. The casts are for adopted columns."""
    return f"""
           {row}.id::uuid AS id, {row}.tenant_id::uuid AS tenant_id,
           {row}.secret_key::text AS secret_key,
           CASE WHEN {row}.previous_secret_expires_at > now() THEN {row}.previous_secret_key::text
                END AS previous_secret_key,
           {url_and_credentials(row)}, {options(row)}"""


COLUMNS = (
    *("id", "tenant_id", "secret_key", "previous_secret_key", "endpoint_url"),
    *("custom_headers", "client_certificate", "client_key", "options"),
)


def _ready(row: str, *, lease: str, installation: str) -> str:
    """SQL: whether attempts at the row's endpoint need nothing but the `lease` of their event."""
    return f"""
               {row}.is_active AND NOT {row}.is_failing
           AND {may_be_sent(row, installation)}
           AND coalesce(octet_length({row}.client_certificate), 0)
               + coalesce(octet_length({row}.client_key), 0) <= {MOST_CERTIFICATE_BYTES}
           AND {row}.max_per_second IS NULL AND {row}.max_in_flight IS NULL
           AND {row_lease(row, lease)} = {lease}"""


FIND_READY = f"""
    SELECT {_columns("w")}
      FROM pg_catalog.unnest($1::uuid[]) AS wanted (id)
     CROSS JOIN LATERAL ({webhook("wanted.id")}) AS w
     WHERE {_ready("w", lease="$2", installation="$3")}
"""  # noqa: S608  made of constants only

# Parts of statements that have the tenants as `owner`. `looked` has how much was read of each.
OF_TENANTS = f"""
    looked AS MATERIALIZED (
        SELECT owner.tenant_id, found.rows, {pages_since("began.before")} AS pages
          FROM owner
         CROSS JOIN LATERAL ({counting("owner.tenant_id")}) AS began
         CROSS JOIN LATERAL (
                SELECT pg_catalog.array_agg(w.ctid) AS rows
                  FROM (SELECT ctid FROM webhooks
                         WHERE tenant_id = began.id AND is_active
                         LIMIT {MOST_OF_TENANT}) AS w) AS found
    ), of_tenant AS MATERIALIZED (
        SELECT w.*, {_ready("w", lease="$1", installation="$5")} AS is_ready
          FROM webhooks AS w
         WHERE w.ctid = ANY (ARRAY(SELECT pg_catalog.unnest(looked.rows) FROM looked))
    )"""  # noqa: S608  made of constants only
READ_OF_TENANTS = f"""
           ARRAY(SELECT id::uuid FROM of_tenant WHERE is_ready IS NOT TRUE) AS not_ready,
           ARRAY(SELECT ROW({", ".join(f"ready.{name}" for name in COLUMNS)})
                   FROM (SELECT {_columns("w")}
                           FROM of_tenant AS w WHERE is_ready) AS ready) AS ready"""  # noqa: S608


@value(frozen=True, slots=True)
class Endpoint:
    """Whose webhook it is, where its requests go, its stored secrets, and how they are made."""

    tenant_id: TenantId
    url: str
    secrets: StoredSecrets
    options: AttemptOptions


# None for a webhook of which every attempt is claimed.
KnownEndpoints = dict[WebhookId, Endpoint | None]


async def find_ready(
    db: Connection,
    ids: Sequence[WebhookId],
    *,
    within: timedelta,
    installation: str | None = None,
) -> dict[WebhookId, Endpoint]:
    """
    Return those that are active, not held, not failing, and have no large certificate.

    Attempts of failing ones are spaced out, and so are those of webhooks with a limit: it is kept
    with claims. Attempts that need a longer lease than `within`, that of their event, have one of
    their own. In a database of another `installation` none is ready.
    """
    rows = await db.fetch(FIND_READY, ids, within, installation)
    return {WebhookId(row["id"]): _endpoint(row) for row in rows}


def endpoints_of_tenants(row: Any) -> KnownEndpoints:
    """Return the endpoints in a row that has READ_OF_TENANTS."""
    found: KnownEndpoints = dict.fromkeys(map(WebhookId, row["not_ready"]))
    for each in row["ready"]:
        ready = dict(zip(COLUMNS, each, strict=True))
        found[WebhookId(ready["id"])] = _endpoint(ready)
    return found


def _endpoint(row: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        TenantId(row["tenant_id"]),
        row["endpoint_url"],
        stored_secrets(WebhookId(row["id"]), row),
        attempt_options(delivery_options(row["options"])),
    )
