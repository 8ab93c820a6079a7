"""How often addresses are asked, and what happens to a request that cannot be mailed."""

from uuid import UUID

from daemon.core.policy.confirmation_limits import PER_TENANT_AND_HOUR, UNANSWERED_PER_TENANT
from tests.support.api_client import OPERATOR
from tests.support.application import Application
from tests.support.confirmations import (
    OWNER,
    PUBLIC,
    URL,
    code_in,
    confirming,
    is_confirmed,
    mailed,
    submit,
)
from tests.support.daemons import metrics_of, serving, until
from tests.support.mailserver import MailHost
from tests.support.notifications import mail_settings


async def test_an_address_is_asked_once_however_often_and_wherever_it_is_entered(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
        path = f"/api/webhooks/{hook['id']}"
        for address in (OWNER, OWNER.upper(), None, OWNER):
            await api.patch(path, {"notificationEmail": address})
        await mailed(host)
        tagged = await api.patch(path, {"notificationEmail": "owner+2@customer.example"})
        await app.db.execute(
            "UPDATE webhook_email_confirmations SET requested_at = now() - interval '1 day'"
        )
        again = await api.patch(path, {"notificationEmail": OWNER})
        first, second = host.to(OWNER.lower())[0], await mailed(host, count=2)
        outdated, pressed = await submit(api, code_in(first)), await submit(api, code_in(second))

    assert (tagged.status, tagged.headers["Retry-After"]) == (429, "86400")
    assert again.status == 200
    assert len(host.to(OWNER.lower())) == 2
    assert (outdated.status, pressed.status) == (422, 200)


async def test_a_tenant_s_requests_are_bounded_and_another_tenant_s_are_not_refused(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        answers = [
            await api.post(
                "/api/webhooks",
                {"name": "x", "endpointUrl": URL, "notificationEmail": f"victim{n}@x.example"},
            )
            for n in range(PER_TENANT_AND_HOUR + 3)
        ]
        other = api.as_tenant(await app.tenant())
        unhindered = await other.create_webhook(URL, notificationEmail="victim0@x.example")
        await until(lambda: len(host.mails) == PER_TENANT_AND_HOUR + 1)

    assert [answer.status for answer in answers] == [201] * PER_TENANT_AND_HOUR + [429] * 3
    assert answers[-1].headers["Retry-After"] == "3600"
    assert unhindered["notificationEmailConfirmed"] is False
    assert await app.db.fetchval("SELECT count(*) FROM webhooks") == PER_TENANT_AND_HOUR + 1


async def test_a_mail_that_is_refused_for_the_time_being_is_sent_later_with_a_code_that_works(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    host.refusals[OWNER.lower()] = "450 greylisted"

    async def tried() -> bool:
        return bool(await app.db.fetchval("SELECT max(tries) FROM webhook_email_confirmations"))

    async with confirming(database, tenant, host) as api:
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
        await until(tried)
        host.refusals.clear()
        # As if the wait were over.
        await app.db.execute("UPDATE webhook_email_confirmations SET due_at = now()")
        pressed = await submit(api, code_in(await mailed(host)))
        confirmed = await is_confirmed(api, hook)

    assert pressed.status == 200
    assert confirmed


async def test_an_address_that_does_not_exist_is_asked_once(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    host.refusals[OWNER.lower()] = "550 no such user"
    async with serving(
        database,
        admin={"public_url": PUBLIC, "tokens": [OPERATOR]},
        notifications=mail_settings(host),
    ) as service:
        await app.db.execute(
            "INSERT INTO webhook_email_confirmations (tenant_id, address, mailbox)"
            " VALUES ($1, $2, $2)",
            tenant,
            OWNER.lower(),
        )
        await until(
            lambda: app.db.fetchval("SELECT due_at = 'infinity' FROM webhook_email_confirmations")
        )
        page = await metrics_of(service)

    assert host.mails == []
    assert "webhookd_mails_failed_total 1.0" in page
    assert "webhookd_confirmations_sent_total 0.0" in page


async def test_a_tenant_whose_addresses_are_never_confirmed_may_enter_no_more(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    await app.db.execute(
        "INSERT INTO webhook_email_confirmations (tenant_id, address, mailbox, requested_at,"
        " due_at) SELECT $1, n || '@x.example', n || '@x.example', now() - interval '29 days',"
        " 'infinity' FROM generate_series(1, $2::int) AS n",
        tenant,
        UNANSWERED_PER_TENANT,
    )
    entered = {"name": "x", "endpointUrl": URL, "notificationEmail": OWNER}
    async with confirming(database, tenant, host) as api:
        refused = await api.post("/api/webhooks", entered)
        await app.db.execute(
            "UPDATE webhook_email_confirmations SET confirmed_at = now() WHERE address LIKE '1@%'"
        )
        accepted = await api.post("/api/webhooks", entered)

    assert (refused.status, refused.headers["Retry-After"]) == (429, "86400")
    assert "not confirmed" in refused.error
    assert accepted.status == 201


async def test_three_tenants_keep_no_mailbox_from_being_confirmed_for_a_fourth(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    tenants = [await app.tenant() for _ in range(12)]
    async with confirming(database, tenant, host) as api:

        async def enter(as_tenant: UUID, address: str) -> int:
            entered = {"name": "x", "endpointUrl": URL, "notificationEmail": address}
            return (await api.as_tenant(as_tenant).post("/api/webhooks", entered)).status

        first = [
            await enter(each, f"owner+{n}@customer.example") for n, each in enumerate(tenants[:3])
        ]
        again = await enter(tenants[3], "other@customer.example"), await enter(tenants[3], OWNER)
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
        await submit(api, code_in(await mailed(host)))
        confirmed = await is_confirmed(api, hook)
        crowd = [await enter(each, OWNER) for each in tenants[3:]]

    assert first == [201] * 3
    # A tenant that waits for another answer is within the limit of all.
    assert again == (201, 429)
    assert confirmed
    # Seven more that wait for none: what was confirmed does not count.
    assert crowd == [429] + [201] * 7 + [429]
