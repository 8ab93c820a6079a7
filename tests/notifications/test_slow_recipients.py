"""One tenant's recipients at whom the mail server takes long delay no other tenant's notices."""

from datetime import timedelta

import pytest

from daemon.core.model.ids import TenantId
from daemon.store import email_confirmations
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.mailserver import mail_host
from tests.support.notifications import all_sent, notifying, open_database, stored_notice, webhook

SLOW_SECONDS, DELAY = 0.2, 0.5
MANY = 12


async def test_mails_of_others_do_not_wait_behind_them(app: Application, database: str) -> None:
    recipients = [f"r{number}@slow.example" for number in range(MANY)]
    slow = [await webhook(app, email=each) for each in recipients]
    await app.db.execute("UPDATE webhooks SET tenant_id = $1", await app.tenant())
    other = await webhook(app, email="owner@example.com")
    with mail_host() as host:
        host.delays = dict.fromkeys(recipients, DELAY)
        for each in [*slow, other]:
            await stored_notice(app, each)
        async with (
            open_database(database) as pool,
            notifying(pool, host.url, slow_from=SLOW_SECONDS),
        ):
            await until(lambda: all_sent(app))

    order = [mail.recipients[0] for mail in host.mails]
    assert sorted(order) == sorted([*recipients, "owner@example.com"])
    assert order.index("owner@example.com") < MANY / 2


async def test_a_mail_server_that_is_slow_for_all_gets_every_mail_once(
    app: Application, database: str
) -> None:
    recipients = [f"r{number}@example.com" for number in range(4)]
    with mail_host() as host:
        host.delays = dict.fromkeys(recipients, DELAY)
        for each in recipients:
            await stored_notice(app, await webhook(app, email=each))
        async with (
            open_database(database) as pool,
            notifying(pool, host.url, slow_from=SLOW_SECONDS),
        ):
            await until(lambda: all_sent(app))

    assert sorted(mail.recipients[0] for mail in host.mails) == recipients


@pytest.mark.parametrize("of_slow", [False, True])
async def test_requests_for_confirmation_are_leased_by_the_loop_of_their_tenant(
    app: Application, of_slow: bool
) -> None:
    slow, other = [TenantId(await app.tenant()) for _ in range(2)]
    for tenant_id in (slow, other):
        await email_confirmations.request(
            app.db, tenant_id, address="owner@example.com", mailbox="owner@example.com"
        )

    leased = await email_confirmations.lease_due(
        *(app.db, [slow]),
        of_these=of_slow,
        limit=10,
        lease=timedelta(minutes=3),
        max_age=timedelta(days=1),
    )

    assert [each.tenant_id for each in leased] == [slow if of_slow else other]
