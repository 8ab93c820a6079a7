"""
The outcomes of mailing leased notices, those of one mail together.

The lease is the fence: nothing changes for a daemon whose lease has expired.
"""

from collections.abc import Sequence
from datetime import timedelta

from daemon.core.model.notices import LeasedNotice
from daemon.store.columns import columns
from daemon.store.session import Connection

MARK_SENT = """
    UPDATE webhook_notices AS n
       SET sent_at = now(), tries = n.tries + 1, last_error = $3
      FROM unnest($1::bigint[], $2::timestamptz[]) AS held (id, leased_until)
     WHERE n.id = held.id AND n.due_at = held.leased_until AND n.sent_at IS NULL
 RETURNING true
"""


async def mark_sent(
    db: Connection, notices: Sequence[LeasedNotice], *, remark: str | None = None
) -> bool:
    """Record that a mail server accepted the email; False when the lease was lost meanwhile."""
    return bool(await db.fetch(MARK_SENT, *_keys(notices), remark))


RETRY_LATER = """
    UPDATE webhook_notices AS n
       SET tries = n.tries + 1, last_error = $3,
           due_at = CASE WHEN now() + $4::interval < created_at + $5::interval
                         THEN now() + $4::interval ELSE 'infinity' END
      FROM unnest($1::bigint[], $2::timestamptz[]) AS held (id, leased_until)
     WHERE n.id = held.id AND n.due_at = held.leased_until AND n.sent_at IS NULL
 RETURNING n.id, n.due_at = 'infinity' AS given_up
"""


async def retry_later(
    db: Connection,
    notices: Sequence[LeasedNotice],
    *,
    error: str,
    wait: timedelta,
    max_age: timedelta,
) -> list[LeasedNotice]:
    """
    Record a failed try and make the notices due again after `wait`.

    Gives up and returns those that will be older than `max_age` by then. Of a lost lease it
    returns none: another daemon then decides when they are due.
    """
    rows = await db.fetch(RETRY_LATER, *_keys(notices), error, wait, max_age)
    given_up = {row["id"] for row in rows if row["given_up"]}
    return [notice for notice in notices if notice.id in given_up]


GIVE_UP = """
    UPDATE webhook_notices AS n
       SET tries = n.tries + 1, last_error = $3, due_at = 'infinity'
      FROM unnest($1::bigint[], $2::timestamptz[]) AS held (id, leased_until)
     WHERE n.id = held.id AND n.due_at = held.leased_until AND n.sent_at IS NULL
"""


async def give_up(db: Connection, notices: Sequence[LeasedNotice], *, error: str) -> None:
    """Record a permanent failure: the notices are not tried again."""
    await db.execute(GIVE_UP, *_keys(notices), error)


def _keys(notices: Sequence[LeasedNotice]) -> list[tuple[object, ...]]:
    return columns([(notice.id, notice.leased_until) for notice in notices])
