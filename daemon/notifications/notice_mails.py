"""
Leases of due notices: all that wait for one recipient become one mail.

The first mail to a recipient is sent at once. What follows is put off until the window after it is
over, and then comes as one mail, whatever the number of webhooks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter

import structlog

from daemon.core.model.ids import TenantId
from daemon.core.model.notices import LeasedNotice
from daemon.core.scheduling.mail_quota import MailQuota
from daemon.notifications.notice_mail import NoticeMail, NoticeMailContext
from daemon.notifications.outgoing import Share
from daemon.notifications.recipients import RecipientPolicy, Recipients, tenants_of
from daemon.store import mail_recipients, notices
from daemon.store.mail_recipients import Window
from daemon.store.named_locks import LockWatch
from daemon.store.session import Connection

log = structlog.get_logger()

# Of all recipients together; more than these wait for the next mails.
MOST_NOTICES = 5_000
# Another daemon leases within milliseconds.
LOCK_PATIENCE = timedelta(minutes=2)


@dataclass(slots=True)
class _Group:
    """The due notices of one recipient."""

    to: Recipients
    notices: list[LeasedNotice] = field(default_factory=list)

    @property
    def tenants(self) -> frozenset[TenantId]:
        """Those who chose the recipient."""
        return tenants_of(self.to, self.notices)


class NoticeMails:
    """Leases notices as mails, one for each recipient."""

    def __init__(self, context: NoticeMailContext, policy: RecipientPolicy) -> None:
        self._context = context
        self._policy = policy
        self._lock_watch = LockWatch(
            mail_recipients.LOCK, work="leasing of notices", patience=LOCK_PATIENCE
        )

    async def lease(self, db: Connection, share: Share, *, limit: int) -> list[NoticeMail]:
        """Lease the notices of up to `limit` recipients, and put off those that come too early."""
        if not await mail_recipients.take_lock(db):
            await self._lock_watch.missed(db)
            return []
        self._lock_watch.taken()
        due = await notices.find_due(db, limit=MOST_NOTICES, max_age=self._context.timing.max_age)
        if not due:
            return []
        groups = {key: each for key, each in self._grouped(due).items() if share.has(each.tenants)}
        windows = await mail_recipients.windows(db, groups.keys())
        await self._put_off(db, [(groups[key], w.opens_at) for key, w in windows.items()])
        now, later = await self._split_by_quota(
            db, [group for key, group in groups.items() if windows.get(key, Window()) == Window()]
        )
        await self._put_off(
            db, [(g, due[0].leased_at + self._context.timing.window) for g in later]
        )
        return await self._lease(db, _in_turn(now)[:limit])

    def _grouped(self, due: Sequence[LeasedNotice]) -> Mapping[str, _Group]:
        groups: dict[str, _Group] = {}
        for notice in due:
            to = self._policy.recipients_of(notice)
            groups.setdefault(to.key, _Group(to)).notices.append(notice)
        return groups

    async def _split_by_quota(
        self, db: Connection, groups: Sequence[_Group]
    ) -> tuple[list[_Group], list[_Group]]:
        """The groups that may be mailed now, those that wait longest first, and the others."""
        found = [notice for group in groups for notice in group.notices]
        webhooks = {notice.webhook_id for notice in found}
        tenants = {notice.tenant_id for notice in found}
        quota = MailQuota(await mail_recipients.count_mails(db, webhooks, tenants))
        now: list[_Group] = []
        later: list[_Group] = []
        for group in groups:
            admitted = quota.admit(group.notices, to_administrators=group.to.are_administrators)
            (now if admitted else later).append(group)
        return now, later

    async def _put_off(
        self, db: Connection, groups: Sequence[tuple[_Group, datetime | None]]
    ) -> None:
        """A group without a time is being mailed by another daemon: it stays due."""
        later = [(each, until) for group, until in groups if until for each in group.notices]
        if not later:
            return
        await notices.put_off(db, later)
        self._context.metrics.notifications.notices_put_off.inc(len(later))
        log.info(
            "notices.put_off", notices=len(later), recipients=sum(1 for _, until in groups if until)
        )

    async def _lease(self, db: Connection, groups: Sequence[_Group]) -> list[NoticeMail]:
        lease = self._context.timing.lease
        mails = []
        for group in groups:
            leased = await notices.lease(db, await self._with_waiting(db, group), lease=lease)
            if not leased:
                continue
            mail = NoticeMail(group.to, leased, self._context)
            if group.to.addresses:
                mails.append(mail)
            else:
                await mail.give_up_without_recipient(db)
        if mails:
            await mail_recipients.lease(db, [mail.to.key for mail in mails], lease=lease)
        return mails

    async def _with_waiting(self, db: Connection, group: _Group) -> list[LeasedNotice]:
        """
        The due notices, and those of the same webhooks that were put off.

        Otherwise a webhook's earlier transitions would be mailed after its later ones.
        """
        webhooks = {notice.webhook_id for notice in group.notices}
        waiting = await notices.find_waiting(
            db, webhooks, limit=MOST_NOTICES, max_age=self._context.timing.max_age
        )
        return sorted([*group.notices, *waiting], key=lambda notice: notice.id)


def _in_turn(groups: Sequence[_Group]) -> list[_Group]:
    """The first mail of each tenant before the second of any."""
    places: Counter[frozenset[TenantId]] = Counter()
    turns: list[tuple[int, _Group]] = []
    for group in groups:
        turns.append((places[group.tenants], group))
        places[group.tenants] += 1
    return [group for _, group in sorted(turns, key=itemgetter(0))]
