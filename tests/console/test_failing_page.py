"""The page of what is failing now, across tenants, and the search by any id, URL or address."""

from tests.support.console import VIEWER, Console
from tests.support.failing import set_failing

URL = "https://crm.example.com/hooks"


async def test_an_operator_sees_what_is_failing_and_finds_it_by_its_host_or_address(
    console: Console,
) -> None:
    webhook = await console.app.webhook(console.other_tenant, URL)
    await set_failing(console.app, webhook, failures=7)
    mail = "UPDATE webhooks SET notification_email = 'ops@example.com' WHERE id = $1"
    await console.app.db.execute(mail, webhook)
    theirs = f'href="{console.path(f"/webhooks/{webhook}", console.other_tenant)}"'

    async with console.operator(VIEWER) as client:
        failing = await client.get("/console/failing")
        searched = [
            await client.get("/console/tenants", search=text)
            for text in ("example.com", "Ops@example.com", str(webhook), f"{URL}")
        ]
    async with console.portal() as tenant:
        refused = await tenant.get("/console/failing")

    assert theirs in failing.text
    assert "7" in failing.shown
    assert [theirs in each.text for each in searched] == [True] * 4
    assert refused.status == 404
    assert str(webhook) not in refused.text
