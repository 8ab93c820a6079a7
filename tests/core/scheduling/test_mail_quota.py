"""How many mails an hour report the same webhook, or one tenant's webhooks."""

from dataclasses import replace
from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.notices import LeasedNotice, NoticeKind
from daemon.core.scheduling.mail_quota import (
    MAILS_PER_TENANT,
    MAILS_PER_WEBHOOK,
    MailCounts,
    MailQuota,
)
from tests.support.emails import NOTICE

OTHER = WebhookId(UUID(int=5))


def quota(*, of_webhook: int = 0, of_tenant: int = 0) -> MailQuota:
    return MailQuota(MailCounts({NOTICE.webhook_id: of_webhook}, {NOTICE.tenant_id: of_tenant}))


def admits(mails: MailQuota, *notices: LeasedNotice, to_administrators: bool = False) -> bool:
    return mails.admit(notices, to_administrators=to_administrators)


def test_a_webhook_is_worth_three_mails_an_hour() -> None:
    assert admits(quota(of_webhook=MAILS_PER_WEBHOOK - 1), NOTICE)
    assert not admits(quota(of_webhook=MAILS_PER_WEBHOOK), NOTICE)
    assert not admits(quota(of_webhook=MAILS_PER_WEBHOOK), NOTICE, to_administrators=True)


def test_a_mail_that_is_sent_anyway_takes_a_webhook_over_the_quota_along() -> None:
    other = replace(NOTICE, webhook_id=OTHER)

    assert admits(quota(of_webhook=MAILS_PER_WEBHOOK), NOTICE, other)


def test_a_pause_is_always_worth_a_mail() -> None:
    for kind in (NoticeKind.PAUSED, NoticeKind.GONE):
        assert admits(quota(of_webhook=100), NOTICE, replace(NOTICE, kind=kind))


def test_a_tenant_s_own_addresses_get_sixty_mails_an_hour_and_administrators_every_one() -> None:
    assert admits(quota(of_tenant=MAILS_PER_TENANT - 1), NOTICE)
    assert not admits(quota(of_tenant=MAILS_PER_TENANT), NOTICE)
    assert admits(quota(of_tenant=MAILS_PER_TENANT), NOTICE, to_administrators=True)


def test_mails_admitted_together_count_at_once() -> None:
    mails = quota()
    stranger = replace(NOTICE, tenant_id=TenantId(UUID(int=9)))

    admitted = [
        admits(mails, replace(NOTICE, webhook_id=WebhookId(UUID(int=n)))) for n in range(100)
    ]

    assert admitted == [True] * MAILS_PER_TENANT + [False] * (100 - MAILS_PER_TENANT)
    assert admits(mails, stranger)
