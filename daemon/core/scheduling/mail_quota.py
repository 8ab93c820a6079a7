"""
How many mails an hour may report the same webhook, or one tenant's webhooks.

A webhook that fails and recovers all the time would otherwise be worth a mail in every window. A
mail over the quota is put off, and merged with what follows; one that is sent anyway takes along
what is due to the same recipient.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.notices import LeasedNotice, NoticeKind

MAILS_PER_WEBHOOK = 3
MAILS_PER_TENANT = 60
# A person has to act before a paused webhook can be paused again.
NEVER_PUT_OFF = frozenset({NoticeKind.PAUSED, NoticeKind.GONE})


@dataclass(frozen=True, slots=True)
class MailCounts:
    """The mails of the last hour that reported each webhook and each tenant; absent means none."""

    of_webhook: Mapping[WebhookId, int]
    of_tenant: Mapping[TenantId, int]


class MailQuota:
    """Admits mails; those that it has admitted count at once."""

    def __init__(self, counts: MailCounts) -> None:
        self._of_webhook = counts.of_webhook
        self._of_tenant = Counter(counts.of_tenant)

    def admit(self, notices: Collection[LeasedNotice], *, to_administrators: bool) -> bool:
        """
        Whether a mail with these notices may be sent now.

        The quota of a tenant limits mail to the addresses that it chose, and never that to the
        administrators, who get the notices of all tenants in one mail.
        """
        admitted = any(
            self._within(notice, count_tenant=not to_administrators) for notice in notices
        )
        if admitted and not to_administrators:
            self._of_tenant.update({notice.tenant_id for notice in notices})
        return admitted

    def _within(self, notice: LeasedNotice, *, count_tenant: bool) -> bool:
        if count_tenant and self._of_tenant[notice.tenant_id] >= MAILS_PER_TENANT:
            return False
        mails = self._of_webhook.get(notice.webhook_id, 0)
        return notice.kind in NEVER_PUT_OFF or mails < MAILS_PER_WEBHOOK
