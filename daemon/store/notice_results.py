"""
The outcomes of mailing a leased notice.

The lease is the fence: nothing changes for a daemon whose lease has expired.
"""

from datetime import timedelta

from daemon.core.model.notices import LeasedNotice
from daemon.store.session import Connection

MARK_SENT = """
    UPDATE webhook_notices
       SET sent_at = now(), tries = tries + 1, last_error = $3
     WHERE id = $1 AND due_at = $2 AND sent_at IS NULL
 RETURNING true
"""


async def mark_sent(db: Connection, notice: LeasedNotice, *, remark: str | None = None) -> bool:
    """Record that a mail server accepted the email; False when the lease was lost meanwhile."""
    return bool(await db.fetchval(MARK_SENT, notice.id, notice.leased_until, remark))


RETRY_LATER = """
    UPDATE webhook_notices
       SET tries = tries + 1, last_error = $3,
           due_at = CASE WHEN now() + $4::interval < created_at + $5::interval
                         THEN now() + $4::interval ELSE 'infinity' END
     WHERE id = $1 AND due_at = $2 AND sent_at IS NULL
 RETURNING due_at < 'infinity'
"""


async def retry_later(
    db: Connection, notice: LeasedNotice, *, error: str, wait: timedelta, max_age: timedelta
) -> bool:
    """
    Record a failed try and make the notice due again after `wait`.

    Gives the notice up and returns False when it will be older than `max_age` by then. Returns True
    when the lease was lost: another daemon then decides when it is due.
    """
    retried = await db.fetchval(RETRY_LATER, notice.id, notice.leased_until, error, wait, max_age)
    return retried is not False


GIVE_UP = """
    UPDATE webhook_notices
       SET tries = tries + 1, last_error = $3, due_at = 'infinity'
     WHERE id = $1 AND due_at = $2 AND sent_at IS NULL
"""


async def give_up(db: Connection, notice: LeasedNotice, *, error: str) -> None:
    """Record a permanent failure: the notice is not tried again."""
    await db.execute(GIVE_UP, notice.id, notice.leased_until, error)
