"""An address that a caller of the API entered gets notices only once its owner has confirmed it."""

import asyncio
import re
from uuid import UUID

import orjson
import pytest

from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.confirmations import (
    OWNER,
    PAGE,
    URL,
    code_in,
    confirming,
    is_confirmed,
    mailed,
    submit,
)
from tests.support.daemons import until
from tests.support.javascript import NODE, TIMEOUT_SECONDS
from tests.support.mailserver import MailHost
from tests.support.notifications import (
    OPS,
    all_sent,
    at_rest,
    mail_settings,
    stored_notice,
)


async def test_an_owner_confirms_once_for_all_webhooks_of_the_tenant(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        hooks = [await api.create_webhook(URL, notificationEmail=OWNER) for _ in range(3)]
        before = [each["notificationEmailConfirmed"] for each in hooks]
        answer = await submit(api, code_in(await mailed(host)))
        later = await api.create_webhook(URL, notificationEmail=f"Owner <{OWNER.lower()}>")
        after = [await is_confirmed(api, each) for each in (*hooks, later)]
        await stored_notice(app, UUID(hooks[0]["id"]))
        await until(lambda: all_sent(app))

    assert before == [False] * 3
    assert (answer.status, "Address confirmed" in answer.text) == (200, True)
    assert OWNER.lower() in answer.text
    assert after == [True] * 4
    assert [mail.subject for mail in host.mails] == [
        "Confirm your address",
        "Webhook “a webhook” is failing",
    ]
    assert host.mails[-1].recipients == (OWNER,)


async def test_until_then_the_administrators_get_the_notices(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
        await mailed(host)
        await stored_notice(app, UUID(hook["id"]))
        await until(lambda: all_sent(app))

    assert [mail.recipients for mail in host.mails] == [(OWNER.lower(),), (OPS,)]


async def test_a_get_changes_nothing_whatever_it_carries(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
        code = code_in(await mailed(host))
        opened = [
            await api.call(method, path)
            for method in ("GET", "HEAD")
            for path in (PAGE, f"{PAGE}?code={code}", f"{PAGE}#{code}", f"{PAGE}.js")
        ]
        still = await is_confirmed(api, hook)
        pressed = await submit(api, code)

    assert {answer.status for answer in opened} == {200}
    assert not still
    assert pressed.status == 200


async def test_a_code_works_once_and_until_it_expires(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        await api.create_webhook(URL, notificationEmail=OWNER)
        code = code_in(await mailed(host))
        first, second = await submit(api, code), await submit(api, code)
        other = await api.create_webhook(URL, notificationEmail="late@customer.example")
        late = code_in(await mailed(host, "late@customer.example"))
        await app.db.execute("UPDATE webhook_email_confirmations SET expires_at = now()")
        expired = await submit(api, late)
        confirmed = await is_confirmed(api, other)

    assert [answer.status for answer in (first, second, expired)] == [200, 422, 422]
    assert "This code is not valid" in second.text
    assert not confirmed


@pytest.mark.parametrize("code", ["", "x", "A" * 32, "\0", "é" * 300, "<script>alert(1)</script>"])
async def test_a_wrong_code_confirms_nothing_and_is_not_repeated(
    database: str, tenant: UUID, host: MailHost, code: str
) -> None:
    async with confirming(database, tenant, host) as api:
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
        await mailed(host)
        answer = await submit(api, code)
        confirmed = await is_confirmed(api, hook)

    assert answer.status == 422
    assert "<script>alert" not in answer.text
    assert not confirmed


@pytest.mark.parametrize("form", [b"", b"code", b"\xff\xfe", b"code=a&" * 50, b"{}"])
async def test_what_is_no_form_has_no_code(
    database: str, tenant: UUID, host: MailHost, form: bytes
) -> None:
    async with confirming(database, tenant, host) as api:
        answer = await api.call("POST", PAGE, data=form)

    assert answer.status == 422


async def test_the_page_runs_only_its_own_script_and_needs_none(
    database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        page, script = await api.get(PAGE), await api.get(f"{PAGE}.js")

    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert (page.headers["Cache-Control"], page.headers["Referrer-Policy"]) == (
        "no-store",
        "no-referrer",
    )
    assert re.findall("<script[^>]*>", page.text) == ['<script src="confirm-email.js" defer>']
    assert re.search('<form method="post" action="confirm-email">.*<button', page.text, re.DOTALL)
    assert "location.hash" in script.text
    assert script.headers["Content-Type"].startswith("text/javascript")


async def test_the_host_of_the_public_url_is_allowed(
    database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        statuses = [
            (await api.with_headers(Host=name).get(PAGE)).status
            for name in ("hooks.example.com", "hooks.example.com:443", "evil.example")
        ]

    assert statuses == [200, 200, 421]


async def test_without_a_public_url_only_allowed_recipients_are_accepted(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    settings = mail_settings(host, allowed_recipients=["@allowed.example"])
    async with serving_api(database, tenant, notifications=settings) as api:
        refused = await api.post(
            "/api/webhooks", {"name": "x", "endpointUrl": URL, "notificationEmail": OWNER}
        )
        allowed = [
            await api.create_webhook(URL, notificationEmail=address)
            for address in ("anyone@allowed.example", OPS)
        ]
        path = f"/api/webhooks/{allowed[0]['id']}"
        changed = await api.patch(path, {"notificationEmail": OWNER})
        kept = await api.patch(path, {"name": "y", "notificationEmail": "anyone@allowed.example"})
        page = await api.get(PAGE)

    assert [refused.status, changed.status, kept.status, page.status] == [422, 422, 200, 404]
    assert "admin.public_url is not set" in refused.error
    assert refused.pointers == changed.pointers == ["#/notificationEmail"]
    assert [each["notificationEmailConfirmed"] for each in allowed] == [True, True]
    assert await app.db.fetchval("SELECT count(*) FROM webhooks") == 2


async def test_an_allowed_recipient_is_mailed_at_once_and_never_asked(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host, allowed_recipients=["@customer.example"]) as api:
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
        await stored_notice(app, UUID(hook["id"]))
        await until(lambda: all_sent(app))
        await until(lambda: at_rest(app))

    assert hook["notificationEmailConfirmed"] is True
    assert [mail.recipients for mail in host.mails] == [(OWNER,)]
    assert await app.db.fetchval("SELECT count(*) FROM webhook_email_confirmations") == 0


async def test_an_address_that_operators_no_longer_allow_has_to_be_confirmed(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host, allowed_recipients=[OWNER]) as api:
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
    async with confirming(database, tenant, host) as api:
        withdrawn = await is_confirmed(api, hook)
        again = await api.patch(f"/api/webhooks/{hook['id']}", {"notificationEmail": OWNER})
        await mailed(host)

    assert not withdrawn
    assert again.json["notificationEmailConfirmed"] is False


async def test_an_address_that_the_application_writes_counts_as_confirmed(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    async with confirming(database, tenant, host) as api:
        hook = await api.create_webhook(URL, notificationEmail=OWNER)
        path = f"/api/webhooks/{hook['id']}"
        await mailed(host)

        async def write(address: str) -> None:
            await app.db.execute("UPDATE webhooks SET notification_email = $1", address)

        found = []
        await write("app@customer.example")
        found.append(await is_confirmed(api, hook))
        # The same address, entered over the API: no news.
        same = await api.patch(path, {"name": "b", "notificationEmail": "app@customer.example"})
        found.append(same.json["notificationEmailConfirmed"])
        # Another one.
        changed = await api.patch(path, {"notificationEmail": "new@customer.example"})
        found.append(changed.json["notificationEmailConfirmed"])
        # A row written as it was read confirms nothing.
        await write("new@customer.example")
        found.append(await is_confirmed(api, hook))
        await write("other@customer.example")
        found.append(await is_confirmed(api, hook))
        removed = await api.patch(path, {"notificationEmail": None})

    assert found == [True, True, False, False, True]
    assert removed.json["notificationEmailConfirmed"] is None


async def test_the_mail_has_no_word_of_the_tenant_and_only_a_hash_of_its_code_is_stored(
    app: Application, database: str, tenant: UUID, host: MailHost
) -> None:
    name = "Your account is blocked: call us"
    async with confirming(database, tenant, host) as api:
        await api.create_webhook(URL, name=name, description=name, notificationEmail=OWNER)
        mail = await mailed(host)
        rows = await app.db.fetch("SELECT c::text FROM webhook_email_confirmations AS c")

    assert name not in mail.raw.decode()
    assert mail.recipients == (OWNER.lower(),)
    assert str(tenant) in mail.body("plain")
    assert code_in(mail) in mail.body("html")
    assert code_in(mail) not in str(rows)


BROWSER = """
const field = {value: ""}, urls = [];
const location = {hash: process.argv[1], pathname: "/below/confirm-email"};
const document = {getElementById: id => (id === "code" ? field : null)};
const history = {replaceState: (state, title, url) => urls.push(url)};
"""


@pytest.mark.parametrize(
    ("fragment", "code", "urls"),
    [("#a-b_C1", "a-b_C1", ["/below/confirm-email"]), ("", "", []), ("#", "", [])],
)
async def test_the_script_moves_the_code_from_the_fragment_into_the_form(
    database: str, tenant: UUID, host: MailHost, *, fragment: str, code: str, urls: list[str]
) -> None:
    async with confirming(database, tenant, host) as api:
        script = (await api.get(f"{PAGE}.js")).text
    program = f"{BROWSER}{script}\nconsole.log(JSON.stringify([field.value, urls]));"
    node = await asyncio.create_subprocess_exec(
        *(NODE, "-e", program, "--", fragment), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(node.communicate(), TIMEOUT_SECONDS)

    assert orjson.loads(out) == [code, urls]
