"""Endpoints that may be called at once, with what a request to them needs."""

from collections.abc import Sequence
from datetime import timedelta

from daemon.core.model.delivery_options import AttemptOptions
from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.value import value
from daemon.core.policy.delivery_options import attempt_options
from daemon.store.delivery_options import delivery_options, options, row_lease
from daemon.store.holds import may_be_sent
from daemon.store.secrets import stored_secrets
from daemon.store.session import Connection
from daemon.store.webhook_columns import url_and_credentials

# Of a chain and its key. Those of some hundred webhooks are read at once; larger ones with the
# claims.
MOST_CERTIFICATE_BYTES = 16 * 1024

FIND_READY = f"""
    SELECT w.id, w.secret_key, {url_and_credentials("w")}, {options("w")},
           CASE WHEN w.previous_secret_expires_at > now() THEN w.previous_secret_key END
               AS previous_secret_key
      FROM pg_catalog.unnest($1::uuid[]) AS wanted (id)
     -- LIMIT: a plan that was made while there were no webhooks might read all that are active.
     CROSS JOIN LATERAL (SELECT * FROM webhooks WHERE id = wanted.id LIMIT 1) AS w
     WHERE w.is_active AND NOT w.is_failing
       AND {may_be_sent("w", "$3")}
       AND coalesce(octet_length(w.client_certificate), 0)
           + coalesce(octet_length(w.client_key), 0) <= {MOST_CERTIFICATE_BYTES}
       AND w.max_per_second IS NULL AND w.max_in_flight IS NULL
       AND {row_lease("w", "$2")} = $2
"""  # noqa: S608  made of constants only


@value(frozen=True, slots=True)
class Endpoint:
    """Where requests of a webhook go, its stored secrets, and how attempts are made."""

    url: str
    secrets: StoredSecrets
    options: AttemptOptions


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
    return {
        WebhookId(row["id"]): Endpoint(
            row["endpoint_url"],
            stored_secrets(WebhookId(row["id"]), row),
            attempt_options(delivery_options(row["options"])),
        )
        for row in await db.fetch(FIND_READY, ids, within, installation)
    }
