"""
When each recipient of notices may be mailed next, and which of them a daemon is mailing.

A recipient is an address's key, or ADMINISTRATORS. Rows are written by the daemon that holds the
lease, and deleted some time after they have no effect any more.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.mail_quota import MailCounts
from daemon.store import named_locks
from daemon.store.session import Connection

ADMINISTRATORS = ""

LOCK = "webhookd mail"


async def take_lock(db: Connection) -> bool:
    """
    Whether this transaction may lease mails; False while another daemon's does.

    Two daemons that lease at once would each mail a part of one recipient's notices.
    """
    return await named_locks.try_take(db, LOCK)


@dataclass(frozen=True, slots=True)
class Window:
    """`opens_at` is when the recipient may be mailed; None means now, unless it `is_leased`."""

    opens_at: datetime | None = None
    is_leased: bool = False


WINDOWS = """
    SELECT address, coalesce(leased_until > now(), false) AS is_leased,
           CASE WHEN next_mail_at > now() THEN next_mail_at END AS opens_at
      FROM webhook_mail_recipients
     WHERE address::text = ANY ($1::text[])
"""


async def windows(db: Connection, recipients: Collection[str]) -> dict[str, Window]:
    """The windows of these recipients; one that is missing may be mailed now."""
    rows = await db.fetch(WINDOWS, list(recipients))
    return {row["address"]: Window(row["opens_at"], row["is_leased"]) for row in rows}


LEASE = """
    INSERT INTO webhook_mail_recipients (address, next_mail_at, leased_until)
    SELECT address, now(), now() + $2::interval FROM pg_catalog.unnest($1::text[]) AS address
        ON CONFLICT (address) DO UPDATE SET leased_until = EXCLUDED.leased_until
"""


async def lease(db: Connection, recipients: Sequence[str], *, lease: timedelta) -> None:
    """Let no other daemon mail these recipients for as long as the lease lasts."""
    await db.execute(LEASE, sorted(recipients), lease)


CLOSE = """
    UPDATE webhook_mail_recipients SET next_mail_at = now() + $2::interval, leased_until = NULL
     WHERE address::text = $1
"""


async def close(db: Connection, recipient: str, *, wait: timedelta) -> None:
    """End the lease, and let the recipient be mailed again after `wait`."""
    await db.execute(CLOSE, recipient, wait)


RELEASE = (
    "UPDATE webhook_mail_recipients SET leased_until = NULL WHERE address::text = ANY ($1::text[])"
)


async def release(db: Connection, recipients: Sequence[str]) -> None:
    """End the leases of recipients that were not mailed."""
    await db.execute(RELEASE, recipients)


# All notices of one mail have one `sent_at`.
MAILS_OF_WEBHOOKS = """
    SELECT webhook_id, pg_catalog.count(DISTINCT sent_at) AS mails
      FROM webhook_notices
     WHERE webhook_id = ANY ($1::uuid[]) AND sent_at > now() - interval '1 hour'
       -- True of all that are mailed while they are news; bounds what is read of the index.
       AND created_at > now() - interval '2 days'
     GROUP BY webhook_id
"""
MAILS_OF_TENANTS = """
    SELECT tenant_id, pg_catalog.count(DISTINCT sent_at) AS mails
      FROM webhook_notices
     WHERE tenant_id = ANY ($1::uuid[]) AND sent_at > now() - interval '1 hour'
     GROUP BY tenant_id
"""


async def count_mails(
    db: Connection, webhooks: Collection[WebhookId], tenants: Collection[TenantId]
) -> MailCounts:
    """The mails of the last hour that reported these webhooks and tenants."""
    of_webhook: Mapping[WebhookId, int] = {
        WebhookId(row["webhook_id"]): row["mails"]
        for row in await db.fetch(MAILS_OF_WEBHOOKS, list(webhooks))
    }
    of_tenant: Mapping[TenantId, int] = {
        TenantId(row["tenant_id"]): row["mails"]
        for row in await db.fetch(MAILS_OF_TENANTS, list(tenants))
    }
    return MailCounts(of_webhook, of_tenant)
