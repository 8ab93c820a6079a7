"""Forms that act once: sent twice at the same time, again later, and to two daemons."""

import asyncio
import re

from tests.support.api_client import OPERATOR, operator_client
from tests.support.application import Application
from tests.support.console_client import ConsoleClient, ConsolePage, console_client
from tests.support.daemons import serving

NEW = {"name": "CRM", "endpointUrl": "https://hooks.example.com/crm", "allTypes": "on"}


def secret_in(page: ConsolePage) -> str | None:
    found = re.search(r"whsec_[A-Za-z0-9+/=]{20,}", page.text)
    return found and found[0]


async def new_form(console: ConsoleClient) -> dict[str, str]:
    return (await console.get("/webhooks/new")).form("/webhooks/new") | NEW


async def test_a_form_that_is_sent_twice_at_once_to_two_daemons_creates_one_webhook(
    database: str, app: Application
) -> None:
    tenant = await app.tenant()
    admin = {"tokens": [OPERATOR]}
    async with (
        serving(database, admin=admin) as first,
        serving(database, admin=admin) as second,
        console_client(first.port, tenant) as console,
        operator_client(first, tenant) as api,
    ):
        form = await new_form(console)
        elsewhere = console.at_port(second.port)

        pages = await asyncio.gather(
            console.post("/webhooks/new", form), elsewhere.post("/webhooks/new", form)
        )

        assert [each.status for each in pages] == [200, 200]
        assert len((await api.get("/api/webhooks")).json["webhooks"]) == 1
        assert [secret_in(each) is None for each in pages].count(False) == 1
        changed = await console.post("/webhooks/new", form | {"name": "Another"})
        assert changed.status == 200
        assert len((await api.get("/api/webhooks")).json["webhooks"]) == 2


async def test_a_secret_is_shown_once_to_the_session_that_made_it(
    database: str, app: Application
) -> None:
    tenant = await app.tenant()
    async with (
        serving(database, admin={"tokens": [OPERATOR]}) as service,
        console_client(service.port, tenant) as console,
        console_client(service.port, tenant) as stranger,
    ):
        form = await new_form(console)

        shown = await console.post("/webhooks/new", form)

        assert secret_in(shown)
        path = shown.url.partition(str(tenant))[2]
        for again in (await console.get(path), await console.post("/webhooks/new", form)):
            assert again.status == 200
            assert secret_in(again) is None
            assert "shown once" in again.text
        webhook = path.partition("/secret")[0]
        rotated = await console.submit(f"{webhook}/settings", f"{webhook}/rotate")
        assert secret_in(rotated) not in (None, secret_in(shown))
        kept = await app.db.fetch("SELECT answer FROM webhook_idempotency_keys")
        assert all(each["answer"].startswith("sealed:") for each in kept)
        # One that nobody has seen yet: another session's browser does not get it.
        seen = await console.post_only("/webhooks/new", await new_form(console))
        assert secret_in(await stranger.get(seen)) is None
        assert secret_in(await console.get(seen))


async def test_a_form_without_its_token_is_refused_and_one_that_was_refused_can_be_sent_again(
    database: str, app: Application
) -> None:
    tenant = await app.tenant()
    async with (
        serving(database, admin={"tokens": [OPERATOR]}) as service,
        console_client(service.port, tenant) as console,
        operator_client(service, tenant) as api,
    ):
        form = await new_form(console)

        bare = await console.post("/webhooks/new", {k: v for k, v in form.items() if k != "once"})
        wrong = await console.post("/webhooks/new", form | {"endpointUrl": "ftp://x"})
        right = await console.post(
            "/webhooks/new", wrong.form("/webhooks/new") | {"endpointUrl": NEW["endpointUrl"]}
        )

        assert (bare.status, wrong.status, right.status) == (422, 422, 200)
        assert len((await api.get("/api/webhooks")).json["webhooks"]) == 1
