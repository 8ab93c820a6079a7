"""
Confirmations of addresses that callers of the API entered: requested, mailed, and given.

A confirmation is one tenant's for one address, however many webhooks name it. Of the code in a mail
only the hash is stored. A lease moves `due_at`, and is the fence, as for notices.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta

from daemon.core.model.confirmations import ConfirmedAddress, LeasedConfirmation
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.policy.confirmation_limits import ConfirmationState
from daemon.store import named_locks
from daemon.store.columns import columns
from daemon.store.session import Connection


def lock_name(tenant_id: TenantId) -> str:
    """The lock of a tenant's requests and confirmations."""
    return f"webhookd confirmations of {tenant_id}"


async def take_lock(db: Connection, tenant_id: TenantId) -> None:
    """
    Let no other transaction request or confirm for this tenant; call before rows are locked.

    Without it, requests at the same time would each find the limits not reached, and a webhook
    stored during a confirmation would stay unconfirmed. Raises LockHeldError.
    """
    await named_locks.take(db, lock_name(tenant_id))


STATE = """
    SELECT own.confirmed_at IS NOT NULL AS is_confirmed,
           now() - own.requested_at AS requested_ago,
           coalesce(own.requests, 0) AS requests,
           (SELECT count(*) FROM webhook_email_confirmations
             WHERE mailbox::text = $3 AND requested_at > now() - interval '1 day'
               AND tenant_id = $1) AS of_tenant_mailbox_today,
           (SELECT count(*) FROM webhook_email_confirmations
             WHERE mailbox::text = $3 AND requested_at > now() - interval '1 day'
               AND confirmed_at IS NULL) AS unanswered_of_mailbox_today,
           (SELECT count(*) FROM webhook_email_confirmations
             WHERE requested_at > now() - interval '1 hour'
               AND tenant_id = $1) AS of_tenant_this_hour,
           (SELECT count(*) FROM webhook_email_confirmations
             WHERE requested_at > now() - interval '30 days' AND confirmed_at IS NULL
               AND tenant_id = $1) AS unanswered_of_tenant,
           (SELECT count(*) FROM webhook_email_confirmations
             WHERE requested_at > now() - interval '30 days' AND confirmed_at IS NULL
               AND tenant_id = $1 AND address::text <> $2) AS unanswered_elsewhere,
           (SELECT count(*) FROM webhook_email_confirmations
             WHERE requested_at > now() - interval '1 hour') AS of_all_this_hour
      FROM (SELECT) AS one
      LEFT JOIN webhook_email_confirmations AS own ON own.tenant_id = $1 AND own.address::text = $2
"""


async def state(
    db: Connection, tenant_id: TenantId, *, address: str, mailbox: str
) -> ConfirmationState:
    """Earlier requests for this address, and for others."""
    row = await db.fetchrow(STATE, tenant_id, address, mailbox)
    return ConfirmationState(**row)


REQUEST = """
    INSERT INTO webhook_email_confirmations (tenant_id, address, mailbox)
    VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id, address) DO UPDATE
       SET requested_at = now(), requests = webhook_email_confirmations.requests + 1,
           due_at = now(), tries = 0, used_at = now()
"""


async def request(db: Connection, tenant_id: TenantId, *, address: str, mailbox: str) -> None:
    """Have a mail sent that asks the address's owner."""
    await db.execute(REQUEST, tenant_id, address, mailbox)


USE = """
    UPDATE webhook_email_confirmations SET used_at = now()
     WHERE tenant_id = $1 AND address::text = $2
"""


async def use(db: Connection, tenant_id: TenantId, address: str) -> None:
    """Record that the tenant still uses a confirmed address, so that retention keeps it."""
    await db.execute(USE, tenant_id, address)


MARK_UNCONFIRMED = "UPDATE webhooks SET unconfirmed_email = $2 WHERE id = $1"


async def mark_unconfirmed(db: Connection, webhook_id: WebhookId, address: str | None) -> None:
    """Record the address that the API stored for a webhook; None if its owner has confirmed it."""
    await db.execute(MARK_UNCONFIRMED, webhook_id, address)


LEASE_DUE = """
    WITH due AS MATERIALIZED (
        SELECT tenant_id, address
          FROM webhook_email_confirmations
         WHERE due_at < 'infinity' AND due_at <= now() AND confirmed_at IS NULL
           AND requested_at > now() - $3::interval
           AND (tenant_id = ANY ($4::uuid[])) = $5
         ORDER BY due_at
         LIMIT $1
           FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_email_confirmations AS c
       SET due_at = now() + $2::interval
      FROM due
     WHERE c.tenant_id = due.tenant_id AND c.address::text = due.address::text
 RETURNING c.tenant_id, c.address, c.tries, now() AS leased_at, c.due_at AS leased_until
"""


async def lease_due(
    db: Connection,
    tenants: Collection[TenantId],
    *,
    of_these: bool,
    limit: int,
    lease: timedelta,
    max_age: timedelta,
) -> list[LeasedConfirmation]:
    """Lease requests younger than `max_age` to be mailed, of these tenants or of all others."""
    return [
        LeasedConfirmation(
            TenantId(row["tenant_id"]),
            row["address"],
            row["tries"],
            row["leased_at"],
            row["leased_until"],
        )
        for row in await db.fetch(LEASE_DUE, limit, lease, max_age, list(tenants), of_these)
    ]


# The condition of every statement that follows: the request is still leased as it was.
HELD = "tenant_id = $1 AND address::text = $2 AND due_at = $3 AND confirmed_at IS NULL"

SET_CODE = f"""
    UPDATE webhook_email_confirmations
       SET code_hash = $4, expires_at = now() + $5::interval
     WHERE {HELD}
 RETURNING true
"""  # noqa: S608  HELD is a constant


async def set_code(
    db: Connection, leased: LeasedConfirmation, code_hash: bytes, *, valid_for: timedelta
) -> bool:
    """Replace the code by that of the mail that is about to be sent; False if the lease is lost."""
    key = (leased.tenant_id, leased.address, leased.leased_until)
    return bool(await db.fetchval(SET_CODE, *key, code_hash, valid_for))


MARK_SENT = f"""
    UPDATE webhook_email_confirmations SET due_at = 'infinity', tries = tries + 1 WHERE {HELD}
"""  # noqa: S608  HELD is a constant


async def mark_sent(db: Connection, leased: LeasedConfirmation) -> None:
    """Record that a mail server accepted the mail, or refused it for good."""
    await db.execute(MARK_SENT, leased.tenant_id, leased.address, leased.leased_until)


RETRY_LATER = f"""
    UPDATE webhook_email_confirmations SET due_at = now() + $4::interval, tries = tries + 1
     WHERE {HELD}
"""  # noqa: S608  HELD is a constant


async def retry_later(db: Connection, leased: LeasedConfirmation, *, wait: timedelta) -> None:
    """Record a failed try, and make the mail due again after `wait`."""
    await db.execute(RETRY_LATER, leased.tenant_id, leased.address, leased.leased_until, wait)


RELEASE = """
    UPDATE webhook_email_confirmations AS c
       SET due_at = now()
      FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS held (tenant_id, address, until)
     WHERE c.tenant_id = held.tenant_id AND c.address::text = held.address AND c.due_at = held.until
"""


async def release(db: Connection, leased: Sequence[LeasedConfirmation]) -> None:
    """Give back requests whose mails were not begun; they are due again at once."""
    if leased:
        rows = [(each.tenant_id, each.address, each.leased_until) for each in leased]
        await db.execute(RELEASE, *columns(rows))


FIND_CODE = """
    SELECT tenant_id FROM webhook_email_confirmations WHERE code_hash = $1 AND expires_at > now()
"""
CONFIRM = """
    UPDATE webhook_email_confirmations
       SET confirmed_at = now(), used_at = now(), code_hash = NULL, due_at = 'infinity'
     WHERE code_hash = $1 AND expires_at > now()
 RETURNING tenant_id, address
"""
CONFIRM_WEBHOOKS = """
    UPDATE webhooks SET unconfirmed_email = NULL
     WHERE id = ANY (ARRAY(SELECT id FROM webhooks
                            WHERE tenant_id = $1 AND unconfirmed_email::text = $2
                            ORDER BY id
                              FOR NO KEY UPDATE))
"""


async def tenant_of_code(db: Connection, code_hash: bytes) -> TenantId | None:
    """The tenant that the address is to be confirmed for; None for a code that is not valid."""
    tenant_id = await db.fetchval(FIND_CODE, code_hash)
    return None if tenant_id is None else TenantId(tenant_id)


async def confirm(db: Connection, code_hash: bytes) -> ConfirmedAddress | None:
    """
    Confirm the address that the code was mailed to; None for a used, expired or wrong code.

    Call in a transaction that holds the lock of its tenant.
    """
    row = await db.fetchrow(CONFIRM, code_hash)
    if row is None:
        return None
    await db.execute(CONFIRM_WEBHOOKS, row["tenant_id"], row["address"])
    return ConfirmedAddress(TenantId(row["tenant_id"]), row["address"])
